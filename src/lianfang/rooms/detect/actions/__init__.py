"""The verbs of detect: install, test and prove packs, switch rules, except what is normal, watch for keywords, examine batches, hunt in past events, forget."""

from lianfang.kernel import lazy

__getattr__, __all__ = lazy.door(
    __name__,
    {
        "anomalies": "change_anomaly create_anomaly hear_all_again look_at_logs remove_anomaly spare_template switch_anomaly",
        "baselining": "change_baseline disable_baseline enable_baseline judge_baselines relearn_baseline",
        "erasing": "forget_source",
        "correlating": "correlate take_marks",
        "exempting": "change_exemption create_exemption end_exemptions enforce_exemption hear_of_ends remove_exemption withdraw_exemption",
        "installing": "install_kept install_pack install_upload keep_upload remove_pack",
        "hunting": "WATCHLIST ask_hunt cancel_hunt forget_hunts hunt hunt_on look_back",
        "modelling": "mark_models",
        "monitors": "change_calendar change_monitor create_calendar create_monitor remove_calendar remove_monitor switch_monitor",
        "signalling": "forget_signals look_at_monitors",
        "owning": "note_reading_stopped",
        "previewing": "ask_preview cancel_preview forget_previews preview preview_of",
        "proving": "prove_packs",
        "staging": "change_scenario create_scenario disable_scenario enable_scenario remove_scenario",
        "storing": "store",
        "surveying": "survey",
        "switching": "disable enable switch switch_scenario",
        "testing": "samples_of test_pack",
        "writing": "approve_rule begin_version change_rule checked_rule drop_rule propose_rule return_rule withdraw_rule write_rule",
    },
)
