"""`python -m dicomnode` is the command `dicomnode`."""

from dicomnode.cli import main

main()
