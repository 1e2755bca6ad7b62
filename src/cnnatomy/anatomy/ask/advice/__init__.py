"""What an expert would remark on a network: what is lost or wasted, with numbers and a remedy."""

from cnnatomy.anatomy.ask.advice.advise import RULES, advise
from cnnatomy.anatomy.ask.advice.remark import Advice

__all__ = ["RULES", "Advice", "advise"]
