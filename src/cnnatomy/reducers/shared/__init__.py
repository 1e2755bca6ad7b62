"""What several poolings share: checks of parameters, ranks, powers, exponentials and draws."""
