"""What an expert would remark on a network: what is lost or wasted, with numbers and a remedy."""

from cnnatomy.anatomy.advice.advise import RULES, advise
from cnnatomy.anatomy.advice.remark import Advice

__all__ = ["RULES", "Advice", "advise"]
