"""From a lasting drift to a better model that a person switches on. It says no more often than yes, with reasons.

::

    trigger    may a job begin?                          the findings and diagnoses of the store
    pairs      questions and their answers               the log, files, optionally a language model
    leaks      nothing of the gate ever trains           pairs in, pairs out
    mine       what must not be taken for the answer     dataset/rows.jsonl
    train      in a process of its own                   candidate/
    gate       old against new, on what neither has seen a judgement
    registry   releases: model, index, threshold         current -> releases/<name>

A job is a folder: ``job.json`` says what is wanted, ``dataset/`` what is trained on, ``progress.json`` how far it is,
``candidate/`` the model, ``result.json`` how it ended. Each of them is written whole or not at all, so a job that was
killed goes on where it was. Nothing in here is imported while no job runs.
"""
