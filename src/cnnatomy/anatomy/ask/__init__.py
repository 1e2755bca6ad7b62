"""Questions to an anatomy: what to change, what differs, what fits, and why other tools count otherwise."""
