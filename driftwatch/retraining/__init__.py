"""Retraining as the daemon and the verbs do it: what the configuration and the store give to ``driftwatch.retrain``.

::

    steward   in the daemon: may a job begin? how far is it? who must be asked?   light, never embeds
    worker    a process of its own: the steps of one job, until it has to wait    heavy, may be killed anywhere
    steps     prepare, judge, offer, promote: each writes its file when it is done, and is skipped when it has
    material  pairs, canaries and documents of a watch
"""
