"""`keyctl config show`."""

import typer

from keyctl.cli.configuration import name_in_use
from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.store.location import StoreLocation

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def show(ctx: typer.Context) -> None:
    """Show the settings in use and where each comes from.

    \b
    Examples:
      keyctl config show
      keyctl config show --json
    """
    context = context_of(ctx)
    path = context.config.path
    limiter = context.limiter_address(None)
    used = name_in_use(context.settings.store, context.config)
    facts = {
        "store": str(context.location),
        "store_from": context.store_origin,
        "store_name": used,
        "config": str(path) if path.exists() else None,
        "wait_seconds": context.wait,
        "pepper_file": str(context.pepper_file) if context.pepper_file else None,
        "limiter": str(limiter) if limiter else None,
        "actor": str(context.actor),
        "stores": {name: str(StoreLocation.parse(url)) for name, url in context.config.stores.items()},
    }
    if context.output.json:
        context.output.answer_json(facts)
        return
    context.output.details(
        [
            ("store", f"{facts['store']} ({facts['store_from']})"),
            ("configuration", str(path) if path.exists() else f"{path} (does not exist)"),
            ("wait", f"{context.wait:g}s"),
            *([("pepper file", str(context.pepper_file))] if context.pepper_file else []),
            *([("limiter", str(limiter))] if limiter else []),
            ("actor", str(context.actor)),
            *(
                (f"store {name}", f"{StoreLocation.parse(url)}{' (in use)' if name == used else ''}")
                for name, url in context.config.stores.items()
            ),
        ]
    )
