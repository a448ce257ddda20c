"""`keyctl audit checkpoint`."""

import typer

from keyctl.cli.bundle_files import load_signing_key
from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import CheckpointOption, CheckpointTrustOption, ResumeOption, SigningKeyOption
from keyctl.cli.store_check import check_store, failure
from keyctl.times import format_time, utc_now

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("checkpoint", cls=Command)
def sign_checkpoint(
    ctx: typer.Context,
    key: SigningKeyOption = None,
    checkpoint: CheckpointOption = None,
    resume: ResumeOption = False,
    trust: CheckpointTrustOption = None,
) -> None:
    """Verify the store, and print a signed checkpoint of its log.

    \b
    Examples:
      keyctl audit checkpoint > checkpoints
      keyctl audit checkpoint --checkpoint checkpoints --resume >> checkpoints

    Verifies as audit verify does, and signs nothing if there is a fault. Keep the checkpoint where those who can write
    to the database cannot: audit verify --checkpoint then finds a truncated, rewritten or rolled-back log.
    """
    from keyctl.bundles.checkpoints import write_checkpoint
    from keyctl.history import Checkpoint

    context = context_of(ctx)
    signing_key = load_signing_key(key)
    verdict = check_store(context, checkpoint, trust, resume=resume, signing_key=signing_key)
    if verdict.fault is not None:
        raise failure(verdict)
    new = Checkpoint(verdict.position, utc_now())
    line = write_checkpoint(new, signing_key)
    facts = {"store_id": new.position.store_id, "seq": new.position.seq, "hash": new.position.hash}
    context.output.result(
        line, {"checkpoint": line, **facts, "at": format_time(new.at), "signer": signing_key.public_text}
    )
