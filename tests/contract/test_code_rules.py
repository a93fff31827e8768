"""The rules of `code_rules`, over every module of ours."""

import pytest

from tests.contract.code_rules import broken_in_tree, broken_rules


def test_no_module_breaks_a_rule():
    assert broken_in_tree() == []


@pytest.mark.parametrize(
    "source",
    [
        "eval(text)",
        "archive.extractall(folder)",
        "tempfile.mktemp()",
        "os.system('ls')",
        "subprocess.run(line, shell=True)",
        "httpx.get(url, verify=False)",
        "tf.py_function(f, [x], tf.string)",
        "tf.load_op_library(path)",
        "found = given == self.token",
        "found = password != given",
        "logger.info('%s', os.environ)",
        "logger.info('with %s', self._token)",
        "os.environ = {}",
    ],
)
def test_each_rule_sees_what_it_is_for(source):
    assert len(list(broken_rules(source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "frame.eval('a + b')",
        "subprocess.run(words, shell=False)",
        "is_first = token == ''",
        "hmac.compare_digest(token, given)",
        "logger.info('%d tokens', len(tokens))",
    ],
)
def test_what_is_harmless_breaks_none(source):
    assert list(broken_rules(source)) == []
