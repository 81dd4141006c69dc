"""`millstream completion SHELL`: the script that lets a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ._commands import COMPLETION_VARIABLE, NAME, commands, put


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
    put(of_shell(commands, {}, NAME, COMPLETION_VARIABLE).source() + "\n")
