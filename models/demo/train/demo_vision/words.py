"""The words that a picture may show: short, common, and each a token or two of the language model."""

from __future__ import annotations

WORDS: tuple[str, ...] = tuple(
    """
    apple baby back bag ball bank bear bed bee bell big bird blue boat book box boy bread bus cake car card cat chair
    city clock close cloud coat cold corn cow cup day desk dog door down draw duck east egg end exit eye face farm fast
    fire fish five flag food foot four fox free game girl go gold good green hand hat hello help hill home horse hot
    house ice in key king lamp leaf left light lion list long love map milk mind moon more mouse music name nest new
    night nine no nose note old on one open orange out page park pen pig pink plan play poor pull push queen rain read
    red right ring road rock room rose run salt sand school sea seven ship shoe shop show sing six sky slow snow sofa
    soup south star start stay stop sun table tea ten test three time top town train tree two up wait walk wall warm
    water way west wind wine wolf wood word work yellow yes you zero zoo
    """.split()  # noqa: SIM905 - a list to read
)
