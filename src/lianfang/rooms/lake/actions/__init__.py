"""The verbs of the lake: take logs in, store them, keep them, and let them go."""

from lianfang.kernel import lazy

__getattr__, __all__ = lazy.door(
    __name__,
    {
        "drifting": "accept_drift content_of decide_drift release_held",
        "decoys": "decoy_of meet renew_token",
        "fetching": "fetch",
        "files": "ingest_path",
        "noticing": "forget_notices hear",
        "grading": "accept_grade change_grade drop_model grade start_grading start_table use_model",
        "ingesting": "Part drain ingest settle",
        "mappings": "delete_mapping save_mapping",
        "mining": "ask_for_templates find_templates",
        "previewing": "SAMPLE_BYTES begin_source forget_trials guesses mend_source open_trial preview trial_of",
        "measuring": "measure",
        "parting": "archive_part destroy_part restore_part",
        "masking": "change_mask create_mask lead_back make_keys remove_mask switch_mask take_over",
        "protection": "ask_export decide_export forget_touches note_taken note_waiting release set_measures touch",
        "receiving": "door receive shares",
        "rejects": "replay_rejects",
        "runs": "forget_runs",
        "reporting": "change_destination create_destination forget_reports pieces remove_destination report report_capture report_events resume_report send_report stop_report try_destination",
        "sampling": "erase_sample feed_sample shifted",
        "sharing": "copy_mail share_capture share_mail wish_of",
        "trying": "try_source",
        "watching": "watch_sources",
        "sources": "carry change_source create_source ensure_source erase_source forget_receipts make_source note_export open_source pause_source read_now send_test",
        "uploading": "read_upload take_upload",
    },
)
