"""Everything that keeps a server from running, in words: one entry per cause, shared by preflight and autopsy.

A table. The `{places}` are filled by whoever found the cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from variet_gui.events import Fix
from variet_gui.i18n import Message, msg

PICK_ENGINE = Fix(msg("Choose llama-server"), action="pick_engine")
PICK_MODEL = Fix(msg("Choose the model"), action="pick_model")
PICK_PROJECTOR = Fix(msg("Choose the projector"), action="pick_projector")
SHOW_LOG = Fix(msg("Show the log"), action="show_log")
RESTART = Fix(msg("Start again"), action="restart")
START_ON_CPU = Fix(msg("Start on the CPU anyway"), action="start_on_cpu")
START_WITH_THESE_GPUS = Fix(msg("Start with the GPUs that are there"), action="start_with_present_gpus")
START_WITHOUT_GPU = Fix(msg("Start without a GPU"), action="start_with_present_gpus")
CHANGE_PORT = Fix(msg("Use another port"), action="change_port")
NO_PROJECTOR = Fix(msg("Start without pictures"), {"mmproj": None})
PROJECTOR_ON_CPU = Fix(msg("Keep the projector on the CPU"), {"mmproj_offload": False})
ONE_SLOT = Fix(msg("Use one slot"), {"parallel": 1})
FLASH_ATTENTION = Fix(msg("Turn flash attention on"), {"flash_attn": "on"})
K_CACHE_F16 = Fix(msg("Keep the K cache in f16"), {"cache_type_k": "f16"})
V_CACHE_F16 = Fix(msg("Keep the V cache in f16"), {"cache_type_v": "f16"})
SPLIT_BY_LAYER = Fix(msg("Split by layer"), {"split_mode": "layer"})
FIRST_GPU = Fix(msg("Use the first GPU"), {"main_gpu": 0})
NO_METHOD = Fix(msg("Start without speculative decoding"), {"spec_type": None})
BOTH_CACHES_Q8 = Fix(msg("Keep both caches in q8_0"), {"cache_type_k": "q8_0", "cache_type_v": "q8_0"})
LARGER_MICRO_BATCH = Fix(msg("Raise the micro-batch to 1152"), {"ubatch_size": 1152})
NO_ADAPTER = Fix(msg("Start without the adapter"), {"lora": None, "lora_scaled": None})
NO_DRAFT = Fix(msg("Start without a draft model"), {"spec_draft_model": None, "spec_type": None})
NO_REMOTE = Fix(msg("Start without remote devices"), {"rpc": None})
OWN_TEMPLATE = Fix(msg("Use the model's own chat template"), {"chat_template": None, "chat_template_file": None})
LESS_PROMPT_CACHE = Fix(msg("Keep no prompt cache"), {"cache_ram": 0})

WEIGHTS = msg("the model's weights")
CONTEXT = msg("the context (KV cache)")
RECURRENT = msg("the model's recurrent state")
COMPUTE = msg("the compute buffer")
PROJECTOR = msg("the projector")
PICTURE = msg("a picture")
DRAFT = msg("the draft model")
WARM_UP = msg("the first calculation")
SOMETHING = msg("a buffer")
A_GPU = msg("A GPU")
NOT_GGUF = msg("It is not a GGUF file: perhaps an error page or a pointer that a download left behind.")
NOT_A_NUMBER = msg("this is not a number.")
NO_REASON = msg("no reason")
SEE_LOG = msg("The log has the details.")
NOTHING = msg("nothing")


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause: what happened, what it means, what to do next."""

    title: Message
    detail: Message | None = None
    fixes: tuple[Fix, ...] = (SHOW_LOG,)
    shorter: Message | None = None
    """The title where something that the other one names is not known."""


CAUSES: Mapping[str, Cause] = MappingProxyType(
    {
        # ------------------------------------------------------------------------------------------------- engine
        "engine_not_found": Cause(
            msg("No llama-server found."),
            msg("{reason} Choose the program, or start on the CPU with the engine that comes with the panel."),
            (PICK_ENGINE, START_ON_CPU),
        ),
        "engine_library_missing": Cause(
            msg("llama-server cannot start: the library {library} is missing."),
            msg("Builds for NVIDIA cards need the CUDA runtime of the version that they were made for."),
            (PICK_ENGINE, SHOW_LOG),
            msg("llama-server cannot start: a library that it needs is missing."),
        ),
        "engine_library_unfit": Cause(
            msg("llama-server cannot start: the library {library} does not fit."),
            msg("It was made for another system or belongs to another build. All files of one build go together."),
            (PICK_ENGINE, SHOW_LOG),
            msg("llama-server cannot start: one of its libraries does not fit."),
        ),
        "engine_wrong_gpu": Cause(
            msg("This build of llama-server is not made for {device}."),
            msg("The driver says: {reason}. A build for this kind of card, or for a newer CUDA, is needed."),
            (PICK_ENGINE, SHOW_LOG),
        ),
        "driver_too_old": Cause(
            msg("The NVIDIA driver is too old for this build of llama-server."),
            msg("It says: {reason}. A newer driver helps, or a build for an older CUDA."),
            (PICK_ENGINE, SHOW_LOG),
        ),
        "engine_wrong_cpu": Cause(
            msg("This build of llama-server is made for another processor."),
            msg("It stopped at an instruction that this computer does not have."),
            (PICK_ENGINE, SHOW_LOG),
        ),
        "engine_fault": Cause(
            msg("llama-server found an error in itself and stopped."),
            msg("It says: {reason}"),
            (RESTART, SHOW_LOG),
        ),
        "flag_unknown": Cause(
            msg("This llama-server does not know {flag}."),
            msg("It is an older or newer build than this command line was made for, or the flag is misspelt."),
            (PICK_ENGINE, SHOW_LOG),
        ),
        "flag_not_honoured": Cause(
            msg("The embedded engine cannot do what {flag} asks for."),
            msg("It says: {reason}. A llama-server can."),
            (PICK_ENGINE, SHOW_LOG),
        ),
        "flag_removed": Cause(
            msg("{flag} no longer exists in this llama-server."),
            msg("The replacement is {replacement}."),
            (SHOW_LOG,),
        ),
        "value_refused": Cause(
            msg("llama-server refuses the value of {flag}."),
            msg("It says: {reason}"),
            (SHOW_LOG,),
        ),
        "models_folder_missing": Cause(
            msg("The folder of models is not there: {file}"),
            None,
            (PICK_MODEL, SHOW_LOG),
        ),
        "permission_denied": Cause(
            msg("llama-server may not read {file}"),
            msg(
                "The file belongs to somebody else, or its rights forbid it. The panel's own user must be able to read "
                "it."
            ),
            (PICK_MODEL, SHOW_LOG),
        ),
        "disk_full": Cause(
            msg("The disk is full: {file}"),
            msg("Nothing more can be written there. Free some space."),
            (RESTART, SHOW_LOG),
            msg("The disk is full."),
        ),
        "system_limit": Cause(
            msg("The system refused llama-server another thread or more memory."),
            msg("A limit of the session (ulimit, a container, a control group) is too low. It says: {reason}"),
            (RESTART, SHOW_LOG),
        ),
        "no_model": Cause(
            msg("No model is set for this tier."),
            None,
            (PICK_MODEL,),
        ),
        # --------------------------------------------------------------------------------------------------- port
        "port_in_use": Cause(
            msg("Port {port} is in use."),
            msg("Another program answers on it, perhaps a llama-server that was left behind."),
            (CHANGE_PORT, SHOW_LOG),
        ),
        "address_refused": Cause(
            msg("llama-server cannot listen on {address}."),
            msg("The name is not known, or this computer has no such address. The panel uses 127.0.0.1."),
            (SHOW_LOG,),
        ),
        "port_in_use_by": Cause(
            msg("Port {port} is in use by {holder} (process {pid})."),
            msg("End that program, or give this tier another port."),
            (CHANGE_PORT,),
        ),
        "port_in_use_by_tier": Cause(
            msg("Port {port} is in use by the tier {role} of this panel."),
            msg("Stop that tier, or give this one a port of its own."),
            (CHANGE_PORT,),
        ),
        "port_not_allowed": Cause(
            msg("Port {port} cannot be used."),
            msg("The system says: {reason}."),
            (CHANGE_PORT,),
        ),
        # -------------------------------------------------------------------------------------------------- model
        "model_missing": Cause(
            msg("The model file cannot be opened: {file}"),
            msg("The system says: {reason}."),
            (PICK_MODEL,),
        ),
        "model_not_gguf": Cause(
            msg("The model is not a GGUF file: {file}"),
            msg("It may be an error page or a pointer that a download left behind. Download it again."),
            (PICK_MODEL,),
        ),
        "model_other_version": Cause(
            msg("The model file is of a version that this llama-server does not read."),
            msg("It says: {reason}. A newer build may read it, or the model has to be converted again."),
            (PICK_ENGINE, PICK_MODEL),
        ),
        "model_damaged": Cause(
            msg("The model file cannot be used."),
            msg("{reason}"),
            (PICK_MODEL,),
        ),
        "model_truncated": Cause(
            msg("The model file is not complete."),
            msg("It says: {reason}. The download stopped early, or the disk was full. Download it again."),
            (PICK_MODEL,),
        ),
        "model_shards": Cause(
            msg("A part of the model is missing or out of place."),
            msg("{reason}"),
            (PICK_MODEL,),
        ),
        "model_is_projector": Cause(
            msg("The model of this tier is a projector, which only sees and cannot answer."),
            msg("Choose the language model here and the projector in its own field."),
            (PICK_MODEL, PICK_PROJECTOR),
        ),
        "model_unknown_architecture": Cause(
            msg("This llama-server does not know models of the kind {architecture}."),
            msg("A newer build may. If the model is old, it may need to be converted again."),
            (PICK_ENGINE, PICK_MODEL),
        ),
        "architecture_unheard_of": Cause(
            msg("This panel has never heard of models of the kind {architecture}."),
            msg("They may be newer than the panel. If llama-server refuses it, a newer build may take it."),
            (PICK_ENGINE, PICK_MODEL),
        ),
        "model_unsuitable": Cause(
            msg("The model does not have the parts that this llama-server expects."),
            msg("It says: {reason}. The model was made for another build, or badly converted."),
            (PICK_ENGINE, PICK_MODEL, SHOW_LOG),
        ),
        "model_not_loaded": Cause(
            msg("The model could not be loaded."),
            msg("llama-server says: {reason}"),
            (PICK_MODEL, SHOW_LOG),
        ),
        "file_missing": Cause(
            msg("What {flag} names is not there: {file}"),
            None,
            (),
        ),
        "adapter_unusable": Cause(
            msg("The adapter (LoRA) cannot be used: {file}"),
            msg("It says: {reason}. An adapter fits only the model that it was trained for."),
            (NO_ADAPTER, SHOW_LOG),
        ),
        "draft_model": Cause(
            msg("The draft model could not be loaded: {file}"),
            None,
            (NO_DRAFT, SHOW_LOG),
        ),
        "draft_without_method": Cause(
            msg("A draft model is set but no method, so it would be loaded and do nothing."),
            msg("Since mid-2026 llama-server uses a plain draft model only when --spec-type says how."),
            (NO_METHOD,),
        ),
        "method_without_draft": Cause(
            msg("The method {method} needs a draft model, and none is set."),
            msg("llama-server would start without speculative decoding."),
            (NO_METHOD,),
        ),
        "no_prediction_layers": Cause(
            msg("This model has no layers for multi-token prediction, which the method draft-mtp needs."),
            msg("Files with them usually have MTP in their name; a draft model with such layers does it too."),
            (NO_METHOD, PICK_MODEL),
        ),
        "chat_template": Cause(
            msg("The chat template has an error."),
            msg("llama-server says: {reason}"),
            (OWN_TEMPLATE, SHOW_LOG),
        ),
        # ---------------------------------------------------------------------------------------------- projector
        "projector_missing": Cause(
            msg("The projector cannot be opened: {file}"),
            msg("The system says: {reason}. Without a projector this tier takes no pictures."),
            (PICK_PROJECTOR, NO_PROJECTOR),
        ),
        "projector_unusable": Cause(
            msg("The projector cannot be used: {file}"),
            msg("{reason}"),
            (PICK_PROJECTOR, NO_PROJECTOR),
        ),
        "projector_is_model": Cause(
            msg("The projector of this tier is a language model: {file}"),
            msg("A projector's name usually begins with mmproj."),
            (PICK_PROJECTOR, NO_PROJECTOR),
        ),
        "projector_mismatch": Cause(
            msg("The projector does not fit the model."),
            msg(
                "It makes vectors of width {projector}; the model takes {model}. Each model has a projector of its own."
            ),
            (PICK_PROJECTOR, NO_PROJECTOR),
        ),
        # ------------------------------------------------------------------------------------------------- memory
        "out_of_gpu_memory": Cause(
            msg("{device} has no room for {what}: {mib} MiB more were needed."),
            msg("Less context, a smaller micro-batch or fewer layers on this GPU free memory there."),
            (SHOW_LOG,),
            msg("{device} has no room for {what}."),
        ),
        "out_of_gpu_memory_while_working": Cause(
            msg("{device} ran out of memory while it worked."),
            msg("Loading left too little free. Less context or a smaller micro-batch leaves more."),
            (RESTART, SHOW_LOG),
        ),
        "out_of_gpu_memory_at_picture": Cause(
            msg("{device} ran out of memory while it looked at a picture."),
            msg("A picture takes memory of its own, which loading did not leave. Smaller pictures take less."),
            (RESTART, SHOW_LOG),
        ),
        "gpu_error_unsaid": Cause(
            msg("A GPU failed, and the reason did not reach the log."),
            msg(
                "llama-server ended before it could write it. Most often memory ran out; a fault of the card or the "
                "driver looks the same."
            ),
            (RESTART, SHOW_LOG),
        ),
        "near_out_of_gpu_memory": Cause(
            msg("The GPUs were most likely too full."),
            msg("llama-server moved a part of layer {layer} to the CPU, which happens when a GPU has almost no room."),
            (SHOW_LOG,),
        ),
        "out_of_host_memory": Cause(
            msg("The computer ran out of memory."),
            msg("Less context, a smaller prompt cache (--cache-ram) or a smaller model needs less."),
            (LESS_PROMPT_CACHE, SHOW_LOG),
        ),
        "killed_for_memory": Cause(
            msg("The system ended {role}: the computer ran out of memory."),
            msg("Less context, a smaller prompt cache (--cache-ram) or a smaller model needs less."),
            (LESS_PROMPT_CACHE, RESTART, SHOW_LOG),
        ),
        "fit_failed": Cause(
            msg("llama-server could not make the model fit by itself."),
            msg("It says: {reason}. It goes on with the settings as they are, and may run out of memory."),
            (SHOW_LOG,),
        ),
        # ----------------------------------------------------------------------------------------------- devices
        "device_unknown": Cause(
            msg("llama-server sees no device called {device}."),
            msg("The driver may be down, the build may be without GPU support, or CUDA_VISIBLE_DEVICES hides it."),
            (PICK_ENGINE, SHOW_LOG),
        ),
        "main_gpu_missing": Cause(
            msg("There is no GPU number {device}: llama-server sees {count}."),
            None,
            (FIRST_GPU, SHOW_LOG),
        ),
        "device_not_there": Cause(
            msg("There is no device {device}: llama-server will see {count} GPUs."),
            msg("It stops at a device that it does not find. Numbers begin at 0."),
            (SHOW_LOG,),
        ),
        "gpus_absent": Cause(
            msg("This tier is meant for {expected} GPUs; the driver shows {found}."),
            msg("There: {names}. The driver may have lost a card. What was tuned for all may not fit into fewer."),
            (START_WITH_THESE_GPUS,),
        ),
        "gpus_all_absent": Cause(
            msg("This tier is meant for {expected} GPUs; the NVIDIA driver shows none."),
            msg("The driver may be down. llama-server would work on the CPU without a word, many times slower."),
            (START_WITHOUT_GPU, START_ON_CPU),
        ),
        "gpus_hidden": Cause(
            msg("This tier is meant for {expected} GPUs; CUDA_VISIBLE_DEVICES={value} shows llama-server {found}."),
            msg("The variable is set in the tier or in the environment that the panel was started from."),
            (START_WITH_THESE_GPUS,),
        ),
        "gpus_chosen_outside": Cause(
            msg("CUDA_VISIBLE_DEVICES={value} comes from the environment that the panel was started from."),
            msg("llama-server sees these GPUs alone and counts them from 0."),
            (),
        ),
        "gpus_missing": Cause(
            msg("This tier is meant for {expected} GPUs; llama-server uses {found}."),
            msg("In use: {names}. The driver may have lost a card, or the tensor split leaves one out."),
            (RESTART, SHOW_LOG),
        ),
        "gpus_none": Cause(
            msg("llama-server found no GPU and works on the CPU."),
            msg("This tier is meant for {expected} GPUs. The build may be without GPU support, or the driver is down."),
            (PICK_ENGINE, SHOW_LOG),
        ),
        "gpus_too_many": Cause(
            msg("This tier is meant for {expected} GPUs; llama-server uses {found}."),
            msg("In use: {names}. The devices can be named in the tier's settings."),
            (SHOW_LOG,),
        ),
        "gpu_other": Cause(
            msg("This tier is meant for GPU {expected}; llama-server uses {names}."),
            msg("The device can be named in the tier's settings."),
            (SHOW_LOG,),
        ),
        "gpu_fault": Cause(
            msg("{device} failed while it worked."),
            msg("The driver says: {reason}. If it happens again: look at temperature, power and the driver's version."),
            (RESTART, SHOW_LOG),
        ),
        "gpu_lost": Cause(
            msg("{device} is no longer there."),
            msg(
                "The driver says: {reason}. The card was lost or reset, perhaps by a driver that was restarted or by a "
                "lack of power. Restarting the computer brings it back; temperature, power and cables are worth a look."
            ),
            (SHOW_LOG,),
        ),
        "rpc_worker_lost": Cause(
            msg("The remote device at {endpoint} was lost."),
            msg("Its program (ggml-rpc-server) ended, or the network failed. Start it again there."),
            (RESTART, NO_REMOTE, SHOW_LOG),
            msg("A remote device was lost."),
        ),
        "rpc_unreachable": Cause(
            msg("The remote device at {endpoint} does not answer."),
            msg("Start ggml-rpc-server there, of the same build, or take the device out of the tier's settings."),
            (RESTART, NO_REMOTE, SHOW_LOG),
            msg("A remote device does not answer as it should."),
        ),
        # ---------------------------------------------------------------------------------------- settings at odds
        "cache_needs_flash_attention": Cause(
            msg("A compressed V cache needs flash attention."),
            None,
            (FLASH_ATTENTION, V_CACHE_F16),
        ),
        "k_cache_type_unfit": Cause(
            msg("The K cache type {type} does not fit the heads of this model."),
            msg("They have {width} numbers each, which is not a multiple of {block}."),
            (K_CACHE_F16,),
        ),
        "v_cache_type_unfit": Cause(
            msg("The V cache type {type} does not fit the heads of this model."),
            msg("They have {width} numbers each, which is not a multiple of {block}."),
            (V_CACHE_F16,),
        ),
        "cache_types_differ": Cause(
            msg("This model cannot have different types for the K and the V cache."),
            None,
            (SHOW_LOG,),
        ),
        "cache_type_off_gpu": Cause(
            msg("Attention over a cache of {types} does not run on the GPU."),
            msg("This build moves it to the CPU, which is many times slower. A cache of q8_0 or f16 stays on the GPU."),
            (BOTH_CACHES_Q8,),
        ),
        "context_beyond_training": Cause(
            msg("The context of {context} tokens is longer than what the model was trained for: {most}."),
            msg("llama-server uses no more than {most} of it, and the rest of the memory is spent for nothing."),
            (),
        ),
        "parallel_unset": Cause(
            msg("The number of slots is not set: the panel passes -np 1."),
            msg("llama-server's own choice is four slots, which cost memory that one operator does not use."),
            (ONE_SLOT,),
        ),
        "split_mode_unfit": Cause(
            msg("The split mode of this tier cannot be used here."),
            msg("llama-server says: {reason}"),
            (SPLIT_BY_LAYER, SHOW_LOG),
        ),
        "image_larger_than_micro_batch": Cause(
            msg("A picture took more tokens than fit into one micro-batch."),
            msg("This model looks at a picture as a whole; older builds stop when it does not fit."),
            (LARGER_MICRO_BATCH, PICK_ENGINE),
        ),
        "picture_fault": Cause(
            msg("llama-server stopped while it looked at a picture."),
            msg("It says: {reason}. Another build may do better; without pictures the tier works."),
            (RESTART, PICK_ENGINE, NO_PROJECTOR, SHOW_LOG),
        ),
        "picture_stops_server": Cause(
            msg("A large picture takes up to {tokens} tokens; the micro-batch holds {batch}."),
            msg(
                "This model looks at a picture as a whole. Builds before October 2026 stop at a picture that does not "
                "fit; newer ones make it smaller."
            ),
            (LARGER_MICRO_BATCH, NO_PROJECTOR),
        ),
        "pictures_made_smaller": Cause(
            msg("Large pictures lose detail: they take up to {tokens} tokens, and the micro-batch holds {batch}."),
            msg("This model looks at a picture as a whole, so llama-server makes a larger one smaller."),
            (LARGER_MICRO_BATCH,),
        ),
        # ------------------------------------------------------------------------------------------- surroundings
        "config_file_alters": Cause(
            msg("{file} changes this start: {keys}."),
            msg("llama-server reads that file by itself. What is set in the tier comes after it; these are not."),
            (),
        ),
        "config_file_unreadable": Cause(
            msg("{file} may change this start, and the panel cannot read it."),
            msg("The system says: {reason}."),
            (),
        ),
        "environment_scrubbed": Cause(
            msg("These variables are kept from llama-server: {names}."),
            msg("They would change the start behind the command line."),
            (),
        ),
        "context_not_made": Cause(
            msg("The context could not be made."),
            msg("llama-server says: {reason}"),
            (SHOW_LOG,),
        ),
        # -------------------------------------------------------------------------------- requests; the server lives
        "context_full": Cause(
            msg("The context is full."),
            msg("llama-server says: {reason}. A new conversation, a shorter text or more context helps."),
            (SHOW_LOG,),
        ),
        "api_key_refused": Cause(
            msg("A program asked without the right API key."),
            msg("llama-server refused it and goes on. Programs that use it need the key of this tier."),
            (SHOW_LOG,),
        ),
        "picture_to_text_model": Cause(
            msg("A picture was sent to a tier that takes none."),
            msg("llama-server runs without a projector, which is what looks at pictures."),
            (PICK_PROJECTOR, SHOW_LOG),
        ),
        "picture_unreadable": Cause(
            msg("A picture could not be read."),
            msg("It is damaged, or of a kind that llama-server does not know. JPEG and PNG work."),
            (SHOW_LOG,),
        ),
        "request_failed": Cause(
            msg("A request failed, and the server goes on."),
            msg("llama-server says: {reason}"),
            (RESTART, SHOW_LOG),
        ),
        "load_timeout": Cause(
            msg("{role} did not become ready within {seconds} s and was ended."),
            msg("Its last step: {step}. A slow disk, or memory that is being swapped, makes a load long."),
            (RESTART, SHOW_LOG),
        ),
        # --------------------------------------------------------------------------------------------- it just ended
        "killed": Cause(
            msg("{role} was ended by force."),
            msg("Nothing in its log says why. Most often the system does that when memory runs out."),
            (RESTART, SHOW_LOG),
        ),
        "stopped_from_outside": Cause(
            msg("{role} was stopped by somebody else."),
            msg("Another program or the system asked it to end."),
            (RESTART, SHOW_LOG),
        ),
        "model_file_vanished": Cause(
            msg("{role} lost the ground under its memory."),
            msg("The model file was changed or cut while it was in use, or the disk has errors."),
            (RESTART, SHOW_LOG),
        ),
        "crashed": Cause(
            msg("{role} crashed."),
            msg("Its log does not say why. The last lines are below."),
            (RESTART, SHOW_LOG),
        ),
        "unknown": Cause(
            msg("{role} ended, and its log does not say why."),
            msg("The last lines are below."),
            (RESTART, SHOW_LOG),
        ),
    }
)
