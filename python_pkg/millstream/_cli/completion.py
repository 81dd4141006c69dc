"""`millstream completion SHELL`: the script that lets a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ._commands import COMPLETION_VARIABLE, NAME, commands, put

# How the script in `_millstream` knows that zsh's completion runs it. click's test says so while
# zsh loads the file, at the first completion; the second one in a shell would find nothing.
_IS_LOADED, _IS_CALLED = "$zsh_eval_context[-1] == loadautofunc", f"$funcstack[1] == _{NAME}"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script that lets SHELL complete commands, options and providers.

    \b
    bash: millstream completion bash > ~/.local/share/bash-completion/completions/millstream
    zsh:  millstream completion zsh > a file named _millstream in a folder of $fpath
    fish: millstream completion fish > ~/.config/fish/completions/millstream.fish
    """
    of_shell = get_completion_class(shell)
    assert of_shell is not None
    script = of_shell(commands, {}, NAME, COMPLETION_VARIABLE).source()
    put(script.replace(_IS_LOADED, _IS_CALLED) + "\n")
