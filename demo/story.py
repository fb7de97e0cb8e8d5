"""Telling what is done and what came out, and remembering whether all of it was as it should be."""
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.table import Table

WIDTH = 130


@dataclass(slots=True)
class Story:
    """Chapters on the console. `wrong` counts what was not as it should be."""

    console: Console = field(default_factory=lambda: Console(width=WIDTH, highlight=False, soft_wrap=True))
    chapters: int = 0
    wrong: int = 0

    def chapter(self, title: str, text: str = "") -> None:
        self.chapters += 1
        self.console.print(f"\n[bold]{self.chapters}. {escape(title)}[/bold]")
        if text:
            self.console.print(f"[dim]{escape(text)}[/dim]")

    def command(self, words: str, output: str) -> None:
        """A command as a user would type it, and what it printed."""
        self.console.print(f"  [cyan]$ {escape(words)}[/cyan]")
        for line in output.splitlines():
            self.console.print(f"    {escape(line)}")

    def check(self, what: str, right: bool) -> None:
        self.wrong += not right
        mark = "[green]as it should be[/green]" if right else "[bold red]WRONG[/bold red]"
        self.console.print(f"  {escape(what)}: {mark}")

    def attempts(self, heading: str, rows: list[tuple[str, str, str]]) -> None:
        """(what was tried, what it got, what it should get)"""
        table = Table(box=None, padding=(0, 2), show_edge=False)
        for column in (heading, "got", ""):
            table.add_column(column, header_style="dim")
        for tried, got, wanted in rows:
            right = got == wanted
            self.wrong += not right
            table.add_row(escape(tried), escape(got), "[green]ok[/green]" if right else f"[bold red]WRONG, not {escape(wanted)}[/bold red]")
        self.console.print(table)

    def end(self) -> int:
        """The exit status."""
        if self.wrong:
            self.console.print(f"\n[bold red]{self.wrong} of what was shown is not as it should be.[/bold red]")
            return 1
        self.console.print("\n[bold green]Everything shown is as it should be.[/bold green]")
        return 0
