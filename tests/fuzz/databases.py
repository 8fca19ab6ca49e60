"""Small, sound, made-up folders of the databases, in their own formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.fuzz.seeds import RECORD, RECORDS, Files, matlab, twelve_lead_header

_HEFEI_LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


def _cinc2017() -> Files:
    record = RECORDS["cinc2017"]()
    header = record[f"{RECORD}.hea"]
    return {
        **record,
        "A00002.hea": header.replace(RECORD.encode(), b"A00002"),
        "A00002.mat": matlab(1),
        "REFERENCE-v3.csv": f"{RECORD},N\nA00002,~\n".encode(),
        "RECORDS": f"{RECORD}\nA00002\n".encode(),
    }


def _cinc2020() -> Files:
    comments = ["#Age: 74", "# Sex: Male", "#Dx: 426783006,,164889003,426783006", "#Rx: Unknown"]
    return {
        "E00009.hea": twelve_lead_header("E00009", comments, gain="4880/mV").replace(
            b"E00009 12", b"E00009.mat 12", 1
        ),
        "E00009.mat": matlab(12),
        "below/Q0001.hea": twelve_lead_header("Q0001", ["#Age: NaN", "#Dx:"]),
        "below/Q0001.mat": matlab(12),
        "below/RECORDS": b"Q0001\n",
    }


def _ludb() -> Files:
    record = RECORDS["ludb"]()
    statements = (
        b"#<age>: 51\n#<sex>: F\n#<diagnoses>:\n#Rhythm: Sinus rhythm.\n"
        b"#Electric axis of the heart: left axis deviation. \n#Left ventricular hypertrophy. \n"
    )
    header = record[f"{RECORD}.hea"].split(b"#<age>")[0] + statements
    return {
        "RECORDS": f"data/{RECORD}\n".encode(),
        f"data/{RECORD}.hea": header,
        f"data/{RECORD}.dat": record[f"{RECORD}.dat"],
        f"data/{RECORD}.ii": record[f"{RECORD}.atr"],
    }


def _ptbxl() -> Files:
    columns = "ecg_id,patient_id,age,sex,height,weight,scp_codes,strat_fold,filename_lr,filename_hr"
    row = "1,15709.0,56.0,1,,63.0,\"{{'NORM': 100.0, 'SR': 0.0}}\",{fold},{path},{path}\n"
    statements = ",description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass\n"
    statements += "NORM,normal ECG,1.0,,,NORM,NORM\nSR,sinus rhythm,,,1.0,,\n"
    path = "records100/00001_lr"
    header = twelve_lead_header("00001_lr", []).replace(b" 500 ", b" 100 ")
    return {
        "ptbxl_database.csv": f"{columns}\n{row.format(fold=3, path=path)}".encode(),
        "scp_statements.csv": statements.encode(),
        f"{path}.hea": header,
        f"{path}.mat": matlab(12),
    }


def _wfdb_folder() -> Files:
    record = RECORDS["mit-bih"]()
    table = "record,patient,label,age,sex,site,weight_kg\n"
    table += f"{RECORD},P1,AF,71,female,A,63.5\nward/{RECORD},P2,N,,M,B,\n"
    return {
        "table.csv": table.encode(),
        **record,
        **{f"ward/{name}": content for name, content in record.items()},
    }


def _hefei() -> Files:
    signal = " ".join(_HEFEI_LEADS) + "\n" + "-3 5 0 12 7 -100 40 1\n" * 5000
    labels = "1.txt\t65\tFEMALE\t窦性心律\tQRS低电压\t\n2.txt\t\t\t心房颤动\n"
    return {
        "hf_round2_arrythmia.txt": "窦性心律\nQRS低电压\n心房颤动\n".encode(),
        "hf_round2_label.txt": labels.encode("gbk"),
        "hf_round2_train/1.txt": signal.encode(),
        "hf_round2_train/2.txt": signal.encode(),
    }


DATABASES: Mapping[str, tuple[Callable[[], Files], tuple[str, ...]]] = {
    "cinc2017": (_cinc2017, ("rhythm",)),
    "cinc2020": (_cinc2020, ("scored-2021", "all")),
    "ludb": (_ludb, ("rhythm", "diagnosis")),
    "ptbxl": (_ptbxl, ("all", "superclass")),
    "wfdb-folder": (_wfdb_folder, ("records", "beats")),
    "hefei": (_hefei, ("arrhythmia",)),
}
"""Database -> how to make its folder, and the tasks it is opened for."""
