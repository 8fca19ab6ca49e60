"""Diagnoses of the PhysioNet/CinC Challenges 2020 and 2021: SNOMED CT code, abbreviation, name.

Codes, abbreviations and which codes are scored as one are those of the challenges' evaluation code
(github.com/physionetchallenges/evaluation-2021, dx_mapping_scored.csv and dx_mapping_unscored.csv;
evaluation-2020 likewise); Perez Alday et al., Physiol Meas 41, 2020, table 4; Reyna et al.,
Computing in Cardiology 2021. Spellings of some names are regularised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SCORED = (
    ("164889003", "AF", "atrial fibrillation"),
    ("164890007", "AFL", "atrial flutter"),
    ("6374002", "BBB", "bundle branch block"),
    ("426627000", "Brady", "bradycardia"),
    ("733534002", "CLBBB", "complete left bundle branch block"),
    ("713427006", "CRBBB", "complete right bundle branch block"),
    ("270492004", "IAVB", "first degree atrioventricular block"),
    ("713426002", "IRBBB", "incomplete right bundle branch block"),
    ("39732003", "LAD", "left axis deviation"),
    ("445118002", "LAnFB", "left anterior fascicular block"),
    ("164909002", "LBBB", "left bundle branch block"),
    ("164947007", "LPR", "prolonged PR interval"),
    ("251146004", "LQRSV", "low QRS voltages"),
    ("111975006", "LQT", "prolonged QT interval"),
    ("698252002", "NSIVCB", "nonspecific intraventricular conduction disorder"),
    ("426783006", "NSR", "sinus rhythm"),
    ("284470004", "PAC", "premature atrial contraction"),
    ("10370003", "PR", "pacing rhythm"),
    ("365413008", "PRWP", "poor R wave progression"),
    ("427172004", "PVC", "premature ventricular contractions"),
    ("164917005", "QAb", "Q wave abnormal"),
    ("47665007", "RAD", "right axis deviation"),
    ("59118001", "RBBB", "right bundle branch block"),
    ("427393009", "SA", "sinus arrhythmia"),
    ("426177001", "SB", "sinus bradycardia"),
    ("427084000", "STach", "sinus tachycardia"),
    ("63593006", "SVPB", "supraventricular premature beats"),
    ("164934002", "TAb", "T wave abnormal"),
    ("59931005", "TInv", "T wave inversion"),
    ("17338001", "VPB", "ventricular premature beats"),
)
"""The 30 codes scored in 2021: code, abbreviation, name."""

UNSCORED = (
    ("233892002", "AAR", "accelerated atrial escape rhythm"),
    ("251173003", "AB", "atrial bigeminy"),
    ("164951009", "abQRS", "abnormal QRS"),
    ("251187003", "AED", "atrial escape beat"),
    ("195080001", "AFAFL", "atrial fibrillation and flutter"),
    ("195126007", "AH", "atrial hypertrophy"),
    ("61277005", "AIVR", "accelerated idioventricular rhythm"),
    ("426664006", "AJR", "accelerated junctional rhythm"),
    ("251139008", "ALR", "suspected reversal of the arm leads"),
    ("57054005", "AMI", "acute myocardial infarction"),
    ("413444003", "AMIs", "acute myocardial ischemia"),
    ("54329005", "AnMI", "anterior myocardial infarction"),
    ("426434006", "AnMIs", "anterior ischemia"),
    ("251268003", "AP", "atrial pacing pattern"),
    ("106068003", "ARH", "atrial rhythm"),
    ("713422000", "ATach", "atrial tachycardia"),
    ("233917008", "AVB", "atrioventricular block"),
    ("50799005", "AVD", "atrioventricular dissociation"),
    ("29320008", "AVJR", "atrioventricular junctional rhythm"),
    ("251166008", "AVNRT", "atrioventricular node reentrant tachycardia"),
    ("233897008", "AVRT", "atrioventricular reentrant tachycardia"),
    ("251170000", "BPAC", "blocked premature atrial contraction"),
    ("418818005", "BRU", "Brugada pattern"),
    ("74615001", "BTS", "bradycardia-tachycardia syndrome"),
    ("426749004", "CAF", "chronic atrial fibrillation"),
    ("251199005", "CCR", "counterclockwise rotation"),
    ("698247007", "CD", "cardiac dysrhythmia"),
    ("27885002", "CHB", "complete heart block"),
    ("53741008", "CHD", "coronary heart disease"),
    ("204384007", "CIAHB", "congenital incomplete atrioventricular block"),
    ("413844008", "CMI", "chronic myocardial ischemia"),
    ("251198002", "CR", "clockwise rotation"),
    ("61721007", "CVCL/CCVCL", "clockwise or counterclockwise vectorcardiographic loop"),
    ("82226007", "DIB", "diffuse intraventricular block"),
    ("428417006", "ERe", "early repolarization"),
    ("13640000", "FB", "fusion beats"),
    ("164942001", "FQRS", "fragmented QRS wave"),
    ("84114007", "HF", "heart failure"),
    ("251259000", "HTV", "high T voltage"),
    ("368009", "HVD", "heart valve disorder"),
    ("251200008", "ICA", "indeterminate cardiac axis"),
    ("195042002", "IIAVB", "second degree atrioventricular block"),
    ("426183003", "IIAVBII", "Mobitz type II atrioventricular block"),
    ("425419005", "IIs", "inferior ischemia"),
    ("251120003", "ILBBB", "incomplete left bundle branch block"),
    ("49260003", "IR", "idioventricular rhythm"),
    ("704997005", "ISTD", "inferior ST segment depression"),
    ("426995002", "JE", "junctional escape"),
    ("251164006", "JPC", "junctional premature complex"),
    ("426648003", "JTach", "junctional tachycardia"),
    ("253352002", "LAA", "left atrial abnormality"),
    ("67741000119109", "LAE", "left atrial enlargement"),
    ("446813000", "LAH", "left atrial hypertrophy"),
    ("425623009", "LIs", "lateral ischemia"),
    ("445211001", "LPFB", "left posterior fascicular block"),
    ("164873001", "LVH", "left ventricular hypertrophy"),
    ("55827005", "LVHV", "left ventricular high voltage"),
    ("370365005", "LVS", "left ventricular strain"),
    ("164865005", "MI", "myocardial infarction"),
    ("164861001", "MIs", "myocardial ischemia"),
    ("54016002", "MoI", "Mobitz type I (Wenckebach) atrioventricular block"),
    ("428750005", "NSSTTA", "nonspecific ST-T abnormality"),
    ("164867002", "OldMI", "old myocardial infarction"),
    ("282825002", "PAF", "paroxysmal atrial fibrillation"),
    ("251205003", "PPW", "prolonged P wave"),
    ("67198005", "PSVT", "paroxysmal supraventricular tachycardia"),
    ("425856008", "PVT", "paroxysmal ventricular tachycardia"),
    ("164912004", "PWC", "P wave change"),
    ("253339007", "RAAb", "right atrial abnormality"),
    ("164921003", "RAb", "R wave abnormal"),
    ("314208002", "RAF", "rapid atrial fibrillation"),
    ("446358003", "RAH", "right atrial hypertrophy"),
    ("67751000119106", "RAHV", "right atrial high voltage"),
    ("89792004", "RVH", "right ventricular hypertrophy"),
    ("17366009", "SAAWR", "sinus node to atrial wandering rhythm"),
    ("65778007", "SAB", "sinoatrial block"),
    ("5609005", "SARR", "sinus arrest"),
    ("60423000", "SND", "sinus node dysfunction"),
    ("49578007", "SPRI", "shortened PR interval"),
    ("77867006", "SQT", "decreased QT interval"),
    ("55930002", "STC", "ST changes"),
    ("429622005", "STD", "ST depression"),
    ("164931005", "STE", "ST elevation"),
    ("164930006", "STIAb", "ST interval abnormal"),
    ("251168009", "SVB", "supraventricular bigeminy"),
    ("426761007", "SVT", "supraventricular tachycardia"),
    ("266257000", "TIA", "transient ischemic attack"),
    ("251223006", "TPW", "tall P wave"),
    ("164937009", "UAb", "U wave abnormal"),
    ("11157007", "VBig", "ventricular bigeminy"),
    ("164884008", "VEB", "ventricular ectopics"),
    ("75532003", "VEsB", "ventricular escape beat"),
    ("81898007", "VEsR", "ventricular escape rhythm"),
    ("164896001", "VF", "ventricular fibrillation"),
    ("111288001", "VFL", "ventricular flutter"),
    ("266249003", "VH", "ventricular hypertrophy"),
    ("195060002", "VPEx", "ventricular pre-excitation"),
    ("251266004", "VPP", "ventricular pacing pattern"),
    ("251182009", "VPVC", "paired ventricular premature complexes"),
    ("164895002", "VTach", "ventricular tachycardia"),
    ("251180001", "VTrig", "ventricular trigeminy"),
    ("195101003", "WAP", "wandering atrial pacemaker"),
    ("74390002", "WPW", "Wolff-Parkinson-White pattern"),
)
"""The other codes that occur in the challenges' training data."""

# Scored as the same diagnosis: code -> the code that stands for both.
_SAME_2020 = {
    "59118001": "713427006",  # right bundle branch block: complete
    "63593006": "284470004",  # supraventricular premature beats: atrial
    "17338001": "427172004",  # ventricular premature beats
}
_SAME_2021 = {**_SAME_2020, "164909002": "733534002"}  # left bundle branch block: complete
_NEW_IN_2021 = {"6374002", "733534002", "365413008"}


@dataclass(frozen=True, kw_only=True)
class Coding:
    """Which codes are told apart: the classes in order, and each code's class."""

    classes: tuple[str, ...]
    """Abbreviations; of codes that count as one, that of the code that stands for both."""
    class_of: Mapping[str, str]
    """SNOMED CT code -> class."""


def _coding(
    rows: tuple[tuple[str, str, str], ...], same: Mapping[str, str], left_out: set[str]
) -> Coding:
    abbreviation = {code: short for code, short, _ in rows if code not in left_out}
    return Coding(
        classes=tuple(short for code, short in abbreviation.items() if code not in same),
        class_of=MappingProxyType(
            {code: abbreviation[same.get(code, code)] for code in abbreviation}
        ),
    )


CODINGS: Mapping[str, Coding] = MappingProxyType(
    {
        "scored-2021": _coding(SCORED, _SAME_2021, set()),
        "scored-2020": _coding(SCORED, _SAME_2020, _NEW_IN_2021),
        "all": _coding(SCORED + UNSCORED, _SAME_2021, set()),
    }
)
"""By task: 26 classes from the 30 codes scored in 2021, 24 from the 27 of 2020, or every code."""

NAMES: Mapping[str, str] = MappingProxyType({short: name for _, short, name in SCORED + UNSCORED})
"""Abbreviation -> full name."""
