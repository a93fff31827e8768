import subprocess
import sys

import numpy as np
import pytest

from forecasting.errors import ArtifactError, RemoteError, RetryableError
from forecasting.wire.client import GrpcClient, RestClient
from forecasting.wire.messages import TensorProto
from forecasting.wire.records import frame_record, read_records, write_records
from forecasting.wire.server_process import model_server
from forecasting.wire.tensors import from_tensor, to_tensor


@pytest.mark.parametrize("as_content", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32, np.bool_])
def test_arrays_survive_the_way_through_a_tensor(dtype, as_content):
    array = np.array([[0, 1, 2], [3, 4, 5]]).astype(dtype)
    found = from_tensor(to_tensor(array, as_content=as_content))
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_nan_survives_as_nan():
    assert np.isnan(from_tensor(to_tensor(np.array([np.nan], np.float32)))[0])


def test_a_scalar_and_an_empty_array_keep_their_shapes():
    assert from_tensor(to_tensor(np.float32(2.5))).shape == ()
    assert from_tensor(to_tensor(np.zeros((0, 3), np.float32))).shape == (0, 3)


@pytest.mark.parametrize("dtype", [np.float16, np.complex64, np.complex128, np.uint16, np.uint32, np.uint64])
def test_rare_types_survive_in_their_own_fields(dtype):
    array = np.array([[1, 2], [3, 4]], dtype=dtype)
    found = from_tensor(to_tensor(array, as_content=False))
    assert found.dtype == dtype
    assert found.tolist() == array.tolist()


def test_strings_survive_as_bytes():
    array = np.array([b"a", b"\xff\x00"], dtype=object)
    assert from_tensor(to_tensor(array)).tolist() == [b"a", b"\xff\x00"]


def test_a_short_list_repeats_its_last_value():
    tensor = TensorProto(dtype=1, float_val=[2.0, 4.0])
    tensor.tensor_shape.dim.add(size=4)
    assert from_tensor(tensor).tolist() == [2.0, 4.0, 4.0, 4.0]


def test_bytes_that_do_not_fill_the_shape_are_refused():
    tensor = TensorProto(dtype=1, tensor_content=b"abc")
    tensor.tensor_shape.dim.add(size=1)
    with pytest.raises(ValueError, match="must hold 4 bytes"):
        from_tensor(tensor)


@pytest.mark.parametrize(
    ("size", "fields", "found"),
    [
        pytest.param(1, {"dtype": 1, "float_val": [1.0, 2.0]}, [1.0], id="too many"),
        pytest.param(2, {"dtype": 1}, [0.0, 0.0], id="none"),
        pytest.param(2, {"dtype": 7}, [b"", b""], id="no strings"),
        pytest.param(1, {"dtype": 1, "double_val": [3.0]}, [0.0], id="another field"),
        pytest.param(1, {"dtype": 8, "scomplex_val": [1.0, 2.0, 3.0]}, [1 + 2j], id="half a complex number"),
        pytest.param(0, {"dtype": 1, "tensor_content": b"abcd"}, [], id="bytes for nothing"),
    ],
)
def test_values_that_do_not_fit_the_shape_are_read_as_tensorflow_reads_them(size, fields, found):
    # Asked of `tf.io.parse_tensor` of TensorFlow 2.21.
    tensor = TensorProto(**fields)
    tensor.tensor_shape.dim.add(size=size)
    assert from_tensor(tensor).tolist() == found


def test_a_truth_value_that_is_neither_zero_nor_one_is_refused():
    tensor = TensorProto(dtype=10, tensor_content=b"\x02")
    tensor.tensor_shape.dim.add(size=1)
    with pytest.raises(ValueError, match="must hold zeros and ones, found 2"):
        from_tensor(tensor)


def test_a_record_is_framed_with_masked_checksums_of_its_length_and_its_bytes():
    # CRC-32C of "123456789" is 0xE3069283, masked: rotated right by 15, plus 0xA282EAD8.
    framed = frame_record(b"123456789")
    assert framed[12:21] == b"123456789"
    assert framed[21:] == (((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")


def test_records_are_read_back_and_an_altered_byte_is_noticed(tmp_path):
    path = tmp_path / "folder" / "records"
    write_records(path, [b"first", b"", b"third"])
    assert list(read_records(path)) == [b"first", b"", b"third"]
    content = bytearray(path.read_bytes())
    content[13] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="cut short or altered"):
        list(read_records(path))


def test_records_are_what_tensorflow_reads(tmp_path):
    write_records(tmp_path / "records", [b"one", b"two"])
    program = (
        "import sys, tensorflow as tf\n"
        "assert [bytes(r.numpy()) for r in tf.data.TFRecordDataset(sys.argv[1])] == [b'one', b'two']\n"
        # The other order: TensorFlow first, messages second.
        "from forecasting.wire.messages import TensorProto\n"
        "assert TensorProto.FromString(tf.make_tensor_proto([1.0]).SerializeToString()).float_val == [1.0]"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "records")], check=True, capture_output=True)


def test_messages_come_without_tensorflow_and_tensorflow_still_comes_after_them():
    program = (
        "import sys\n"
        "from forecasting.wire.messages import TensorProto\n"
        "from forecasting.wire.tensors import to_tensor\n"
        "import numpy as np\n"
        "assert 'tensorflow' not in sys.modules and not [m for m in sys.modules if m.startswith('tensorflow.python')]\n"
        "import tensorflow as tf\n"
        "from tensorflow.core.framework.tensor_pb2 import TensorProto as Theirs\n"
        "assert Theirs is not TensorProto\n"
        "ours = to_tensor(np.float32([1, 2])).SerializeToString()\n"
        "assert tf.make_ndarray(Theirs.FromString(ours)).tolist() == [1, 2]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


@pytest.mark.parametrize("client_class", [GrpcClient, RestClient])
def test_a_server_that_is_not_there_is_a_passing_condition(client_class):
    with client_class("127.0.0.1:1", timeout_s=2) as client, pytest.raises(RetryableError, match=r"127\.0\.0\.1:1"):
        client.status("m")


def test_a_server_that_cannot_start_is_an_error_with_its_last_line(tmp_path):
    with (
        pytest.raises(RemoteError, match="--nonsense"),
        model_server(["--model_base_path=/x", "--nonsense"], log=tmp_path / "log"),
    ):
        pass
