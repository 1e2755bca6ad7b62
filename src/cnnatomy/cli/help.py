"""What `cnnatomy --help` shows."""

from __future__ import annotations

COMMANDS: dict[str, str] = {
    "data": "Look at pictures before training: counts, sizes, duplicates, broken and odd files.",
    "train": "Train a network on pictures, and report how well it does.",
    "compare": "Train several configurations over several seeds, and say which is better, and how sure.",
    "study": "Carry out a ready study of what lectures and papers claim.",
    "evaluate": "Judge a trained network on test pictures.",
    "predict": "Say what a trained network sees in pictures.",
    "export": "Write a trained network as a file for ONNX runtimes, or for torch.export.",
    "inspect": "Show the layers of a network: shapes, parameters, costs, memory and receptive fields.",
    "rf": "Show what one unit of a layer sees of the input.",
    "diff": "Compare two networks layer by layer.",
    "sizes": "Find the input sizes that a network divides cleanly.",
    "window": "Show the arithmetic of one window, or of several in a row.",
    "solve": "Find the kernel, stride, padding or depth that gives a wanted size or field.",
    "networks": "List the classic networks, with their papers and their notation.",
    "explain": "Show how each number of a pooling or a layer comes about, forward and backward.",
    "lab": "Open a page on this machine that explains operators, pictures, networks and runs as one types.",
    "look": "Write a page on what a trained network looks for: filters, patches, maps, heat, curves.",
    "pools": "List the poolings and regions, explain one, or draw them all on a picture.",
}

EXAMPLES = {
    "cnnatomy data ~/pictures": "see what there is to learn from",
    "cnnatomy train digits": "train LeNet-5 on the digits that come along",
    "cnnatomy train ~/pictures": "or on a folder of pictures, one subfolder a class",
    "cnnatomy evaluate runs/digits-1": "judge it again",
    "cnnatomy predict runs/digits-1 seven.png": "and use it",
    "cnnatomy look runs/digits-1": "see what it looks for",
    "cnnatomy inspect lenet5": "see what it is made of",
    "cnnatomy rf lenet5 c3 --at 4,4": "and what a unit of it sees",
    'cnnatomy explain max --input "1 3; 2 4" --kernel 2': "see where the 4 comes from",
    "cnnatomy lab": "or try all of it in the browser",
    "cnnatomy pools": "see what there is to pool with",
}


OPTIONS = {"--help": "this page, or that of the command before it", "--version": "the version"}


def overview() -> None:
    """Print the commands, with examples."""
    from rich.text import Text

    from cnnatomy.cli.console import output

    console = output()
    console.print(
        "usage: [bold]cnnatomy[/] COMMAND ...\n\nThe workbench for convolutional networks on PyTorch."
    )
    for title, pairs in (("commands", COMMANDS), ("examples", EXAMPLES), ("options", OPTIONS)):
        width = max(map(len, pairs))
        console.print(Text(f"\n{title}", "bold"))
        for name, meaning in pairs.items():
            console.print(Text.assemble("  ", (f"{name:<{width}}", "cyan"), f"   {meaning}"), soft_wrap=True)
