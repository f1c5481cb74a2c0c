"""Who takes part: platforms and sub-platforms, creators, partners, staff, keys, sign-in, contributions.

Names and bank details are sealed (encrypted) and live apart from everything that is booked. The audit trail
of who did what also lives here, because every room above writes it.
"""
