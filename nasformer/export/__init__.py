"""Ways out: found networks as models of other libraries. Import the module that you need.

``nasformer.export.timm`` registers AutoFormer's released subnets with timm and turns any subnet into a
model that timm's tools take; ``python -m nasformer.export SCRIPT`` runs a script with them registered.
"""
