"""A demo platform that shows everything: made from a seed, through the same acts as any other platform."""
