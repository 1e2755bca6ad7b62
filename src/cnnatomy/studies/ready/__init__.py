"""Ready studies of what lectures and papers claim, each a TOML file of this folder: arms, claims, two forms.

| table           | what it says                                                                            |
|-----------------|-----------------------------------------------------------------------------------------|
| (top)           | title, and in a sentence or two what is compared                                        |
| settings        | what all arms share                                                                     |
| quick, full     | seeds, and the settings of a form that takes minutes on two cores, and of a longer one  |
| arms.NAME       | an arm's own settings                                                                   |
| claims          | what is said and where; the arm that is `above` another, by more than a `margin`        |
| shift           | by how many pixels test pictures are shifted too, and how many of them                  |
"""

from cnnatomy.studies.ready.claims import Claim, Finding, judge
from cnnatomy.studies.ready.ready_study import NAMES, Ready, load

__all__ = ["NAMES", "Claim", "Finding", "Ready", "judge", "load"]
