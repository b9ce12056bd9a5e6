"""Slots, context and speculation."""

from grafana.boards.server.rates import rate_of
from grafana.panels import GREEN, timeline, timeseries, value_mappings
from grafana.queries import (
    MODEL,
    prom,
    ratio,
    threshold,
)

SLOTS = [
    timeline(
        "Slots",
        "Which slot works when: llama_slot_processing.",
        prom(f"max by (instance, model, slot) (llama_slot_processing{{{MODEL}}})", "{{model}} slot {{slot}}"),
        mappings=value_mappings({"0": ("idle", "transparent"), "1": ("working", GREEN)}),
        empty="No slots",
        width=12,
        height=8,
    ),
    timeseries(
        "Context of each slot",
        "Share of its context that a slot holds; it keeps it after a request, for the next one's cache: "
        "llama_slot_used_tokens, llama_slot_context_tokens.",
        prom(
            ratio(f"llama_slot_used_tokens{{{MODEL}}}", f"llama_slot_context_tokens{{{MODEL}}}"),
            "{{model}} slot {{slot}}",
        ),
        unit="percentunit",
        empty="No slots",
        width=12,
        max=1,
    ),
    timeseries(
        "Context in use",
        "Share of the context of all slots together: llama_context_usage_ratio. At the threshold ContextNearlyFull "
        "fires.",
        prom(f"llama_context_usage_ratio{{{MODEL}}}", "{{model}} {{instance}}"),
        threshold("ContextNearlyFull"),
        unit="percentunit",
        empty="No model",
        max=1,
    ),
    timeseries(
        "Prompts being processed",
        "How far the prompt of each slot is: llama_prompt_progress_ratio.",
        prom(f"llama_prompt_progress_ratio{{{MODEL}}}", "{{model}} slot {{slot}}"),
        unit="percentunit",
        empty="No prompt in work",
        max=1,
    ),
    timeseries(
        "Speculation accepted",
        "Share of drafted tokens that the model accepted: llama_draft_tokens_accepted_total, llama_draft_tokens_total.",
        prom(
            ratio(
                f"sum by (model) ({rate_of('llama_draft_tokens_accepted_total')})",
                f"sum by (model) ({rate_of('llama_draft_tokens_total')})",
            ),
            "{{model}}",
        ),
        unit="percentunit",
        empty="No speculative decoding",
        max=1,
    ),
]
