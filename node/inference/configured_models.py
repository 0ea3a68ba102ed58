"""The models and the inference processes that the settings choose."""

from dataclasses import dataclass, replace

from models.installed_packages import InstalledPackages, installed
from models.manifest import InvalidPackage, ModelSpec
from node.dicom.results.recommended_colours import with_recommended_colours
from node.domain.errors import Misconfigured
from node.domain.texts.result_texts import ResultTexts, SeriesNumberRule
from node.inference.loaded_models import LoadedModels
from node.inference.pool import InferencePool
from node.inference.process import InferenceProcess
from node.routing.rules import Rule
from node.settings import Settings, WorkerOptions


@dataclass(frozen=True)
class Inference:
    """What the inference processes run with: another configuration may share them."""

    specs: InstalledPackages
    worker: WorkerOptions
    texts: ResultTexts
    log_level: str

    def pool(self) -> InferencePool:
        """Builds the processes; nothing runs yet."""
        worker = self.worker
        loaded = LoadedModels(self.specs, worker.device, worker.threads, self.texts)
        return InferencePool(
            lambda: InferenceProcess(loaded, worker.longest_inference_seconds, self.log_level),
            worker.inferences_at_once,
            worker.most_of_model_at_once,
        )


def configured_models(settings: Settings) -> InstalledPackages:
    """Returns the installed models, among them those of every rule, with their display colours.

    Raises:
        Misconfigured: a package is invalid, or a rule names a model that is not installed.
    """
    try:
        packages = installed(settings.catalogues)
    except InvalidPackage as error:
        raise Misconfigured(str(error)) from error
    for rule in settings.rules:
        for key, name in (("model", rule.model), ("shadow", rule.shadow)):
            if name is not None and name not in packages:
                message = f"rule {rule.name!r}: {packages.why_unknown(name)}"
                raise Misconfigured(message, file=settings.file, key=f"rules.{key}")
    return InstalledPackages(coloured(settings, spec) for spec in packages.values())


def rules_with_installed_names(settings: Settings, packages: InstalledPackages) -> list[Rule]:
    """Returns the rules with equal names for equal packages, so that these share one job."""
    return [
        replace(
            rule,
            model=packages.name_of(rule.model),
            shadow=None if rule.shadow is None else packages[rule.shadow].reference,
        )
        for rule in settings.rules
    ]


def coloured(settings: Settings, spec: ModelSpec) -> ModelSpec:
    """The model with the display colours that the settings choose."""
    if settings.result.colours == "recommended":
        return with_recommended_colours(spec)
    return spec


def result_texts(settings: Settings) -> ResultTexts:
    """The texts of results that the settings give."""
    result = settings.result
    return ResultTexts(
        series_description=result.series_description,
        series_number=SeriesNumberRule.parse(result.series_number),
        content_description=result.content_description,
        models=tuple(dict.fromkeys(rule.model_id for rule in settings.rules)),
    )
