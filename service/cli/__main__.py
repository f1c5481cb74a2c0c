"""`python -m service.cli`: the same as the command `benefit-ledger`."""

from service.cli import main

main()
