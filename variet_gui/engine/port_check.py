"""Whether a port on 127.0.0.1 is free, and who has it if it is not.

llama-server cannot be left to find out: on Windows a second server on the same port starts without an error.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import sys
from collections.abc import Mapping

import psutil

from variet_gui.engine.findings import Finding, finding

log = logging.getLogger(__name__)

_HOST = "127.0.0.1"
_CONNECT_S = 0.25


async def port_findings(port: int, panel_pids: Mapping[int, str]) -> list[Finding]:
    """Return an error if `port` cannot be used, naming its holder where the system tells.

    Args:
        port: on 127.0.0.1.
        panel_pids: process id -> role of the servers of this panel.
    """
    problem = await asyncio.to_thread(_bind_problem, port)
    if problem is None and not await _somebody_answers(port):
        return []
    if problem is not None and problem.errno not in (errno.EADDRINUSE, errno.EACCES):
        return [finding("port_not_allowed", port=port, reason=problem.strerror or str(problem))]
    holder = await asyncio.to_thread(_holder, port)
    if holder is None:
        if problem is not None and problem.errno == errno.EACCES:
            return [finding("port_not_allowed", port=port, reason=problem.strerror or str(problem))]
        return [finding("port_in_use", port=port)]
    pid, name = holder
    role = panel_pids.get(pid)
    if role is not None:
        return [finding("port_in_use_by_tier", port=port, role=role)]
    return [finding("port_in_use_by", port=port, holder=name, pid=pid)]


def _bind_problem(port: int) -> OSError | None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if sys.platform == "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            # As the server does it: what an ended server leaves in TIME_WAIT must not count as in use.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            return error
    return None


async def _somebody_answers(port: int) -> bool:
    """Whether a connection is accepted: a listener on all addresses may leave room for one on 127.0.0.1."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(_HOST, port), _CONNECT_S)
    except (OSError, TimeoutError):
        return False
    writer.close()
    try:
        await writer.wait_closed()
    except OSError as error:
        log.debug("the holder of port %d dropped the probe: %s", port, error)
    return True


def _holder(port: int) -> tuple[int, str] | None:
    """Return process id and name of who listens on `port`; None when the system does not tell."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.Error as error:
        log.info("who holds port %d is not known: %s", port, error)
        return None
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
            if connection.pid is None:
                return None
            try:
                return connection.pid, psutil.Process(connection.pid).name()
            except psutil.Error as error:
                log.info("the holder of port %d went away: %s", port, error)
                return None
    return None
