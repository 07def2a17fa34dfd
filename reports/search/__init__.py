"""What a search did: what it tried, and what became of it.

1. `searched`: what was searched of a model, and the values that its trials had; the rungs.
2. `curves`: the learning curves of the trials.
3. `best`, `history`: how many trials, the best so far over time.
4. `importance`: which hyper-parameters decide, by PED-ANOVA; the one module of reports that imports Optuna.
5. `pareto`: what no trial beats in both error and cost; `reasons`: why trials ended early; `trials`: the
   trials one by one, and the values that were tried; `schedules`: what population based training found.
6. `curves_plot`, `importance_plot`, `parallel` (with `panels`): the other pictures; `pictures`: all of them
   with captions.
7. `page`: the section of the report.
"""
