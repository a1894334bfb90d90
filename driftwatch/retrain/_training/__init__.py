"""The inside of a training process; nothing else imports it, and torch is loaded by what needs it alone.

::

    data         rows and texts of the dataset, and the slice of them that validates
    base         the model that is tuned: loaded safely, on its device, with the prompts of serving
    validation   nDCG@10 of a model on that slice
    loss         which of the texts in a batch a question must not be pushed away from
    loop         sentence-transformers' trainer with checkpoints of plain weights
    checkpoints  which of them are whole
    blend        between the tuned weights and the base's
    fit          all of it, stage after stage
    candidate    the folder that is offered
"""
