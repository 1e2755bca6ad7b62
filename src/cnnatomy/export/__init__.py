"""Networks as files that others run: ONNX, and torch.export's own."""

from cnnatomy.export.deployed import Deployed, export_run
from cnnatomy.export.onnx_writer import onnx
from cnnatomy.export.program import program
from cnnatomy.export.written import Written

__all__ = ["Deployed", "Written", "export_run", "onnx", "program"]
