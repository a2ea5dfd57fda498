"""The plant model as data."""

from twin.model.equipment import KINDS, EquipmentModel, TwinModel
from twin.model.load import did_you_mean, load_twin
from twin.model.signals import Carries, Signal

__all__ = ["KINDS", "Carries", "EquipmentModel", "Signal", "TwinModel", "did_you_mean", "load_twin"]
