"""The acceptance of an engine at a site: what the node's journal tells of its first studies.

It needs no truth and runs nothing again: it says how often the engine could work, how long it took, how much
it found, and where somebody has answered, whether he agreed.
"""

from __future__ import annotations

from dicomnode.evaluate.site.acceptance import SiteAcceptance, SiteState, SiteTimes, accept
from dicomnode.evaluate.site.gathering import site_acceptance
from dicomnode.evaluate.site.page import site_html

__all__ = ["SiteAcceptance", "SiteState", "SiteTimes", "accept", "site_acceptance", "site_html"]
