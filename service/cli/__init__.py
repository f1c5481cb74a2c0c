"""The command line: the same acts as the API, for operators and finance staff.

Every command takes `--json`; exit codes are 0 done, 1 a check failed, 2 usage or bad input, 3 unavailable.
"""

import click

from service.cli import backfills, books, events, parties, payouts, periods, processes


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="benefit-ledger")
def main() -> None:
    """Share a network's revenue with the people who make it, by rules they can see, check and change."""


for module in (processes, parties, events, backfills, periods, payouts, books):
    module.add_to(main)
