"""A bare Typer program of two commands, asked for its help."""

import typer

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def one(name: str = typer.Option("", help="A name.")) -> None:
    """Do one thing."""


@app.command()
def two(count: int = typer.Option(1, help="How many.")) -> None:
    """Do another."""


app()
