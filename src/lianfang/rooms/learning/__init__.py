"""Learning owns what models are made of and what becomes of them: data sets with their versions, the registry of models, trainings on a schedule.

In: questions over the events of the lake, decisions of reviewers, models that were trained elsewhere. Out: versions of data sets as
Arrow and Parquet, models with their metrics and their state, and to the room that asked for it the model that is in use.
"""
