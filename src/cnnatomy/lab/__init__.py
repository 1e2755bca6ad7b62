"""A page on this machine that explains operators, pictures, networks and trained runs as one types.

A server answers the browser and bounds what it is asked (`server`, `guard`, `limits`); one process works
(`worker`), and is ended when it takes too long. A view is a function of the query of its address and of a
picture: it reads its settings (`settings_form`), has a record made, and shows it.
"""
