"""``nasformer study create``: create a study to run here or elsewhere."""

from __future__ import annotations

import shlex

from nasformer.cli import options
from nasformer.cli.output import console, print_json
from nasformer.cli.searching import make_searcher


def create(
    space: options.Space,
    storage: options.Storage,
    study: options.NewStudyName = None,
    strategy: options.Strategy = "thompson",
    option: options.Options = None,
    params: options.Params = None,
    macs: options.Macs = None,
    latency: options.Latency = None,
    latency_table: options.LatencyTable = None,
    budgets: options.Budgets = None,
    evaluations: options.Evaluations = 1050,
    batch_size: options.BatchSize = 1,
    seed: options.Seed = 0,
    fitness: options.FitnessKind = None,
    objective: options.Objective = None,
    racing: options.Racing = False,
    dtype: options.Dtype = "auto",
    noise: options.Noise = 0.0,
    supernet: options.SupernetPath = None,
    data: options.Data = None,
    root: options.Root = None,
    confirm_epochs: options.ConfirmEpochs = None,
    confirm_top: options.ConfirmTop = None,
    max_failures: options.MaxFailures = 10,
    warm_start: options.WarmStart = None,
    json: options.Json = False,
) -> None:
    """Create a study with space, budget, strategy, seed, fitness and data.

    'nasformer study run' then needs only storage and name, on any machine with
    access to the storage and the weights; other weights are refused.

    Examples:
      nasformer study create digits --storage digits.log --strategy tpe
      --params 60e3 -n 300 --batch-size 10

      nasformer study create autoformer-tiny --params 5M:6M
      --storage postgresql://me@host/studies --study tiny --supernet tiny.safetensors
    """
    from nasformer.search.study import shown

    searcher, fitness_spec = make_searcher(
        space,
        strategy,
        option or [],
        seed,
        fitness=fitness,
        latency_table=latency_table,
        latency=latency,
        supernet=supernet,
        data=data,
        root=root,
        objective=objective,
        racing=racing,
        dtype=dtype,
        noise=noise,
    )
    short = options.reranking_of(confirm_epochs, confirm_top)
    fitness_spec |= {"rerank": short} if short else {}
    made = searcher.create(
        storage,
        study,
        **options.budgets_of(searcher.space, budgets, options.budget_of(params, macs, latency)),
        evaluations=evaluations,
        batch_size=batch_size,
        max_failures=max_failures,
        fitness_spec=fitness_spec,
        warm_start=warm_start,
    )
    if json:
        print_json({"storage": shown(storage), "study": made.name, "settings": dict(made.settings)})
    else:
        console.print(f"study {made.name} in {shown(storage)}", soft_wrap=True)
        console.print("Run it, here or on any machine with access to the storage, with:")
        command = ["nasformer", "study", "run", "--storage", shown(storage), "--study", made.name]
        console.print(f"  {shlex.join(command)}", soft_wrap=True)
