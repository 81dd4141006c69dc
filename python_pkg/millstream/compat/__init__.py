"""The openai and anthropic SDKs' clients for streamed and plain answers, on this engine.

    from millstream.compat.openai import OpenAI, AsyncOpenAI
    from millstream.compat.anthropic import Anthropic, AsyncAnthropic

Neither SDK needs to be installed. docs/howto/compat.md says what is offered and what differs.
"""
