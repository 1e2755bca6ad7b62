"""What every kernel needs when it runs: machine code, threads, scratch memory and page sizes."""
