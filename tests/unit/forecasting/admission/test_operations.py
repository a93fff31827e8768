"""A graph may only compute: what reads files, calls Python or is unknown is refused wherever it stands."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema
from google.protobuf import text_format

from forecasting.admission.operations import (
    allowed_operations,
    check_lite_model,
    check_saved_model,
    read_more_operations,
)
from forecasting.errors import VersionRefusedError
from forecasting.wire.messages import SavedModel

HARMFUL = ["ReadFile", "WriteFile", "PyFunc", "EagerPyFunc", "PyFuncStateless", "PrintV2", "InitializeTableFromTextFileV2", "SomebodysOwnOp"]  # fmt: skip


def saved_model() -> Any:
    """y = x, with a saver as TensorFlow writes it: saving and restoring in functions of their own."""
    model = SavedModel()
    graph = model.meta_graphs.add()
    for name, operation, inputs in (
        ("x", "Placeholder", []),
        ("y", "Identity", ["x"]),
        ("saver_filename", "Placeholder", []),
        ("save", "StatefulPartitionedCall", ["saver_filename"]),
        ("restore", "StatefulPartitionedCall", ["saver_filename"]),
    ):
        graph.graph_def.node.add(name=name, op=operation, input=inputs)
    for node, function, operation in (
        (3, "__inference__traced_save_1", "SaveV2"),
        (4, "__inference__traced_restore_2", "RestoreV2"),
    ):
        graph.graph_def.node[node].attr["f"].func.name = function
        made = graph.graph_def.library.function.add()
        made.signature.name = function
        made.node_def.add(name="inner", op=operation)
    graph.saver_def.save_tensor_name, graph.saver_def.restore_op_name = "save:0", "restore"
    graph.signature_def["serving_default"].inputs["x"].name = "x:0"
    graph.signature_def["serving_default"].outputs["y"].name = "y:0"
    return model


def check(folder: Path, model: Any) -> None:
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())
    check_saved_model(folder, allowed_operations())


def refused(folder: Path, model: Any) -> str:
    with pytest.raises(VersionRefusedError) as error:
        check(folder, model)
    assert error.value.reason == "forbidden_operation"
    return str(error.value)


def test_a_graph_that_computes_is_allowed_with_its_saver(tmp_path):
    check(tmp_path, saved_model())


@pytest.mark.parametrize("operation", HARMFUL)
def test_a_harmful_operation_is_refused_even_where_nothing_reaches_it(tmp_path, operation):
    model = saved_model()
    model.meta_graphs[0].graph_def.node.add(name="hidden", op=operation)
    assert f"found {operation} in node 'hidden'" in refused(tmp_path, model)


def test_a_harmful_operation_in_a_function_is_refused(tmp_path):
    model = saved_model()
    model.meta_graphs[0].graph_def.library.function[0].node_def.add(name="inner", op="ReadFile")
    assert "ReadFile" in refused(tmp_path, model)


def test_every_graph_of_a_file_is_looked_at(tmp_path):
    model = saved_model()
    model.meta_graphs.add().graph_def.node.add(name="n", op="ReadFile")
    assert "ReadFile" in refused(tmp_path, model)


def test_a_function_with_the_name_of_an_operation_does_not_hide_it(tmp_path):
    model = saved_model()
    graph = model.meta_graphs[0].graph_def
    graph.library.function.add().signature.name = "ReadFile"
    graph.node.add(name="n", op="ReadFile")
    assert "ReadFile" in refused(tmp_path, model)


def _by_signature(graph: Any) -> None:
    graph.signature_def["serving_default"].outputs["y"].name = "save:0"


def _by_control_edge(graph: Any) -> None:
    graph.graph_def.node[1].input.append("^save")


def _by_initialiser(graph: Any) -> None:
    graph.collection_def["saved_model_main_op"].node_list.value.append("save")


def _by_restoring(graph: Any) -> None:
    graph.saver_def.restore_op_name = "save"


def _by_a_function_of_a_function(graph: Any) -> None:
    outer = graph.graph_def.library.function.add()
    outer.signature.name = "__inference_outer"
    body = outer.node_def.add(name="b", op="While")
    body.attr["body"].func.name = "__inference__traced_save_1"
    graph.graph_def.node[1].op = "__inference_outer"


@pytest.mark.parametrize("way", [_by_signature, _by_control_edge, _by_initialiser, _by_restoring, _by_a_function_of_a_function])  # fmt: skip
def test_writing_a_checkpoint_is_refused_where_something_reaches_it(tmp_path, way: Callable[[Any], None]):
    model = saved_model()
    way(model.meta_graphs[0])
    assert "SaveV2" in refused(tmp_path, model)


def test_reading_a_checkpoint_is_refused_where_a_request_reaches_it(tmp_path):
    model = saved_model()
    model.meta_graphs[0].signature_def["serving_default"].outputs["y"].name = "restore:0"
    assert "RestoreV2" in refused(tmp_path, model)


def test_a_graph_as_text_is_looked_at_too(tmp_path):
    model = saved_model()
    model.meta_graphs[0].graph_def.node.add(name="n", op="ReadFile")
    (tmp_path / "saved_model.pbtxt").write_text(text_format.MessageToString(model))
    with pytest.raises(VersionRefusedError, match="ReadFile"):
        check_saved_model(tmp_path, allowed_operations())


def test_a_graph_in_pieces_beside_a_harmless_one_is_refused(tmp_path):
    (tmp_path / "saved_model.cpb").write_bytes(b"")
    with pytest.raises(VersionRefusedError, match=r"saved_model\.cpb must not be there"):
        check(tmp_path, saved_model())


def test_what_is_no_graph_is_refused(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\xff" * 20)
    with pytest.raises(VersionRefusedError, match="cannot be parsed"):
        check_saved_model(tmp_path, allowed_operations())


def _lite(path: Path, number: int, custom: bytes | None = None) -> Path:
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.customCode, code.version = number, min(number, 127), custom, 1
    tree = schema.ModelT()
    tree.version, tree.operatorCodes = 3, [code]
    builder = flatbuffers.Builder(64)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def test_a_lite_model_of_arithmetic_is_allowed(tmp_path):
    check_lite_model(_lite(tmp_path / "m", schema.BuiltinOperator.SELECT_V2), allowed_operations())


@pytest.mark.parametrize(
    ("number", "custom", "named"),
    [
        (schema.BuiltinOperator.CUSTOM, b"FlexReadFile", "CUSTOM FlexReadFile"),
        (schema.BuiltinOperator.STABLEHLO_CUSTOM_CALL, None, "STABLEHLO_CUSTOM_CALL"),
        (schema.BuiltinOperator.DELEGATE, None, "DELEGATE"),
        (30_000, None, "30000"),
        # A name of its own makes an operation another one, whatever its number says.
        (schema.BuiltinOperator.ADD, b"Mine", "ADD Mine"),
    ],
)
def test_a_lite_model_of_other_operations_is_refused(tmp_path, number, custom, named):
    with pytest.raises(VersionRefusedError, match=f"found {named};"):
        check_lite_model(_lite(tmp_path / "m", number, custom), allowed_operations())


def test_further_names_are_read_from_a_file(tmp_path):
    (tmp_path / "names").write_text("# ours\nReadFile\n\nCUSTOM Mine # made here\n")
    allowed = read_more_operations(tmp_path / "names")
    assert allowed.anywhere - allowed_operations().anywhere == {"ReadFile", "CUSTOM Mine"}
    check_lite_model(_lite(tmp_path / "m", schema.BuiltinOperator.CUSTOM, b"Mine"), allowed)


def test_the_list_has_nothing_that_reaches_out_of_a_graph():
    allowed = allowed_operations()
    assert not allowed.anywhere & {*HARMFUL, *allowed.saving, *allowed.restoring}
    words = ("File", "PyFunc", "Checkpoint", "Save", "Restore", "Print", "Summary", "Rpc", "Recv", "Send", "Dataset", "Iterator", "Reader", "Mmap", "Filesystem")  # fmt: skip
    assert [name for name in allowed.anywhere if any(word in name for word in words)] == []
    assert not allowed.lite & {"CUSTOM", "DELEGATE", "CALL", "STABLEHLO_CUSTOM_CALL", "STABLEHLO_COMPOSITE"}
