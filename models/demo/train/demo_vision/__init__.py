"""The parts of the demo's vision projector: pictures, questions, the two models, and the files between them."""
