"""The rails that money leaves by; one small interface, one module a vendor."""
