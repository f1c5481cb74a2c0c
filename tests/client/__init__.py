"""The client, beside a small server that misbehaves as told, and on the service as it ships."""
