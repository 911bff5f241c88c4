"""Variet control panel: tune, start, watch, chat with and verify local LLMs behind llama-server."""

__version__ = "0.1.0"
