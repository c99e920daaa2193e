"""Ways out: found networks as models of other libraries. Import the module that you need.

``write`` exports a network, in one of ``formats``, with ``description`` beside it, once ``check`` has read it again
in a process of its own; ``measure`` says what it is worth. ``opened`` runs what was exported, ``images`` prepares what it is
shown, ``hub`` hands it on. ``nasformer.export.timm`` registers AutoFormer's released subnets with timm and turns any
subnet into a model that timm's tools take.
"""
