"""The stages of a period from open to posted, recorded revenue, and estimates of the open period."""
