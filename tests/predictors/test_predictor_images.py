"""Images: torch modules, functions, and models whose images a processor prepares."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from fastexplain.predictors import make_predictor, parts_of
from fastexplain.predictors._processors import channels_first, crops, find_affine, process

RNG = np.random.default_rng(5)
BYTES = RNG.integers(0, 256, size=(6, 8, 8, 3), dtype=np.uint8)
DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


def convolution(channels=3, dtype=torch.float32):
    torch.manual_seed(0)
    layers = (nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2), nn.Softmax(1))
    module = nn.Sequential(*layers)
    module(torch.zeros(1, channels, 8, 8))
    return module.to(dtype).eval()


# -- torch modules and functions -------------------------------------------------------------
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_module_on_images(dtype, device):
    module = convolution(dtype=dtype).to(device)
    images = RNG.uniform(size=(6, 3, 8, 8))
    predictor = make_predictor(module, images)
    assert (predictor.takes, predictor.dtype) == ("rows", dtype)
    given = torch.tensor(images, dtype=dtype, device=device)
    expected = torch.cat([module(image[None]) for image in given]).detach()
    # answers in double precision keep it
    wanted = torch.float64 if dtype == torch.float64 else torch.float32
    expected = expected.to(wanted)
    close = {"rtol": 0.02, "atol": 0.02} if dtype == torch.bfloat16 else {}
    outputs = predictor(images)
    assert (outputs.dtype, outputs.device.type) == (wanted, device)
    torch.testing.assert_close(outputs, expected, **close)
    torch.testing.assert_close(predictor(given), outputs)


def test_bytes_become_floats_of_the_same_value():
    module = convolution()
    images = BYTES.transpose(0, 3, 1, 2)
    predictor = make_predictor(module, images)
    expected = module(torch.tensor(images).float()).detach()
    torch.testing.assert_close(predictor(images), expected)
    torch.testing.assert_close(predictor(torch.tensor(images)), expected)


def test_module_on_grey_images():
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 2), nn.Softmax(1))
    images = RNG.normal(size=(5, 8, 8))
    expected = module(torch.tensor(images, dtype=torch.float32)).detach()
    torch.testing.assert_close(make_predictor(module, images)(images), expected)


def test_function_of_images():
    seen = []

    def brightness(images):
        seen.append(images)
        return images.mean(axis=(1, 2, 3)) / 255

    predictor = make_predictor(brightness, BYTES, output="regression")
    np.testing.assert_allclose(predictor(BYTES)[:, 0], BYTES.mean(axis=(1, 2, 3)) / 255)
    assert seen[-1] is BYTES
    assert predictor.module is None
    assert [rows.tolist() for rows in predictor.batches(BYTES)] == [list(range(6))]
    assert (predictor.takes, predictor.device, predictor.dtype) == ("rows", None, None)
    model = SimpleNamespace(predict_proba=lambda X: np.full((len(X), 2), 0.5))
    assert make_predictor(model, BYTES)(BYTES).shape == (6, 2)


def test_few_large_images_are_enough_to_see():
    seen = []
    images = np.zeros((100, 256, 512, 3), dtype=np.uint8)
    make_predictor(lambda X: seen.append(len(X)) or np.full(len(X), 0.5), images)
    assert seen == [8]


# -- axes ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("shape", "wanted", "expected"),
    [
        ((2, 8, 9, 3), 3, (2, 3, 8, 9)),
        ((2, 3, 8, 9), 3, (2, 3, 8, 9)),
        ((2, 8, 9), 3, (2, 3, 8, 9)),
        ((2, 8, 9), None, (2, 1, 8, 9)),
        ((2, 8, 9, 1), 3, (2, 3, 8, 9)),
        ((2, 1, 8, 9), 1, (2, 1, 8, 9)),
        ((2, 8, 9, 4), 3, (2, 4, 8, 9)),
        ((2, 8, 9, 3), None, (2, 3, 8, 9)),
        ((2, 3, 8, 4), 3, (2, 3, 8, 4)),  # the wanted number decides
        ((2, 3, 8, 4), 4, (2, 4, 3, 8)),
    ],
)
def test_channels_first(shape, wanted, expected):
    images = np.arange(np.prod(shape)).reshape(shape)
    found = channels_first(images, wanted).numpy()
    assert found.shape == expected
    if len(shape) == 3:
        np.testing.assert_array_equal(found, np.stack([images] * expected[1], axis=1))
    else:
        first = expected if shape[1] in (1, 3) and wanted != 4 else None
        np.testing.assert_array_equal(
            found[:, :1], images[:, :1] if first else np.moveaxis(images, 3, 1)[:, :1]
        )


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 8, 3), "cannot be seen"),
        ((2, 8, 8, 8), "cannot be seen"),
        ((2, 8), "have the shape"),
        ((2, 8, 8, 8, 3), "have the shape"),
    ],
)
def test_axes_that_cannot_be_told(shape, message):
    with pytest.raises(ValueError, match=message):
        channels_first(np.zeros(shape), 3)


# -- processors ------------------------------------------------------------------------------
def vit(**config):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    settings = transformers.ViTConfig(
        image_size=8,
        patch_size=4,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        initializer_range=1.0,
        **config,
    )
    return transformers.ViTForImageClassification(settings).eval()


def resnet(**config):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    settings = transformers.ResNetConfig(
        embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic", **config
    )
    return transformers.ResNetForImageClassification(settings).eval()


def vit_processor(**settings):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("PIL")
    # the name has changed between versions; what needs torchvision is only there with it
    maker = getattr(transformers, "ViTImageProcessorPil", transformers.ViTImageProcessor)
    return maker(**{"size": {"height": 8, "width": 8}} | settings)


def convnext_processor(**settings):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("PIL")
    maker = getattr(transformers, "ConvNextImageProcessorPil", transformers.ConvNextImageProcessor)
    return maker(**settings)


def one_at_a_time(model, processor, images):
    """Logits of every image alone, prepared by the processor itself."""
    rows = []
    for image in images:
        given = processor([image], return_tensors="pt", input_data_format="channels_last")
        with torch.no_grad():
            rows.append(model(given["pixel_values"].to(model.dtype)).logits)
    return torch.cat(rows).float()


MEANS = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]}


@pytest.mark.parametrize(
    ("settings", "images", "simple"),
    [
        ({}, BYTES, True),
        (MEANS, BYTES, True),
        ({"do_normalize": False}, BYTES, True),
        ({"do_rescale": False, **MEANS}, BYTES, True),
        ({"do_resize": False, "rescale_factor": 0.01}, BYTES[:, :5], True),
        ({"do_resize": False, "do_rescale": False, **MEANS}, BYTES / 255, True),
        ({"size": {"height": 4, "width": 4}}, BYTES, False),
        ({}, BYTES[:, :5], False),  # another size
        ({}, BYTES / 255, False),  # resizing rounds floats to bytes, whatever the size
        ({"do_resize": False, "image_mean": [0.5] * 5}, BYTES, False),
    ],
)
def test_a_simple_processor_is_stood_in_for(settings, images, simple):
    processor = vit_processor(**settings)
    first = channels_first(images, 3)
    affine = find_affine(processor, first)
    assert (affine is not None) == simple
    if simple:
        assert affine.fits(first)
        assert not affine.fits(first[:, :, 1:])
        assert not affine.fits(first.to(torch.int64))
        slow = process(processor, first)["pixel_values"]
        fast = affine(first, torch.device("cpu"), torch.float32)
        torch.testing.assert_close(fast, slow.float(), rtol=1e-5, atol=1e-5)
        half = affine(first, torch.device("cpu"), torch.bfloat16)
        torch.testing.assert_close(half, slow.bfloat16())


def test_hidden_resizing_is_seen():
    # ConvNeXt's processor enlarges small images and cuts the middle out, at the same size
    first = channels_first(BYTES, 3)
    assert find_affine(convnext_processor(size={"shortest_edge": 8}), first) is None
    blank = torch.zeros_like(first)
    assert find_affine(convnext_processor(size={"shortest_edge": 8}), blank) is None


def clip_processor(shortest, crop=8, **settings):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("PIL")
    maker = getattr(transformers, "CLIPImageProcessorPil", transformers.CLIPImageProcessor)
    sizes = {"size": {"shortest_edge": shortest}, "crop_size": {"height": crop, "width": crop}}
    return maker(**sizes | settings)


@pytest.mark.parametrize("kind", ["bytes", "shares", "floats"])
@pytest.mark.parametrize(
    ("make", "shape", "cut"),
    [
        (lambda: clip_processor(8), (8, 8), False),
        (lambda: clip_processor(8), (32, 32), False),  # the whole, made smaller
        (lambda: clip_processor(8), (8, 12), True),
        (lambda: clip_processor(8), (48, 32), True),
        (lambda: clip_processor(10), (8, 8), True),
        (lambda: clip_processor(10), (32, 32), True),
        (lambda: clip_processor(10, do_center_crop=False), (32, 48), False),
        (lambda: clip_processor(8, 12), (32, 32), False),  # a larger crop adds a border
        (lambda: clip_processor(256, 224), (32, 32), True),
        (lambda: clip_processor(224, 224), (300, 300), False),
        (lambda: vit_processor(), (5, 30), False),
        (lambda: vit_processor(resample=0), (30, 50), False),
        (lambda: vit_processor(size={"height": 40, "width": 40}), (8, 1), False),
        (lambda: convnext_processor(size={"shortest_edge": 224}), (64, 64), True),
        (lambda: convnext_processor(size={"shortest_edge": 384}), (64, 64), False),
    ],
)
def test_crops_are_seen(make, shape, cut, kind):
    images = torch.from_numpy(RNG.integers(0, 256, size=(1, 3, *shape), dtype=np.uint8))
    if kind != "bytes":
        images = images.float() / (255 if kind == "shares" else 1)
    assert crops(make(), images) == cut


def test_processors_that_tell_no_crop():
    images = torch.zeros((1, 3, 8, 8))

    def failing(images):
        raise RuntimeError

    def blank(images):
        return {"pixel_values": torch.zeros((len(images), 3, 4, 4))}

    def flat(images):
        return {"pixel_values": torch.tensor(np.stack(images)).flatten(1)}

    for processor in (failing, blank, flat):
        assert not crops(processor, images)


def test_a_processor_that_gives_more_is_asked_itself():
    class WithMask:
        do_rescale, rescale_factor = True, 1 / 255

        def preprocess(self, images, return_tensors=None):
            pixels = torch.tensor(np.stack(images)).permute(0, 3, 1, 2) / 255
            return {"pixel_mask": pixels[:, 0] > 0.5, "pixel_values": pixels}

    class Masked(nn.Module):
        def forward(self, pixel_values, pixel_mask):
            return (pixel_values * pixel_mask[:, None]).mean(dim=(2, 3))

    predictor = make_predictor((Masked(), WithMask()), BYTES, output="regression")
    pixels = BYTES.transpose(0, 3, 1, 2) / 255
    expected = (pixels * (pixels[:, :1] > 0.5)).mean(axis=(2, 3))
    np.testing.assert_allclose(predictor(BYTES).numpy(), expected, rtol=1e-5)


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("make", [vit, resnet])
@pytest.mark.parametrize("size", [8, 12])
def test_model_with_processor(make, size):
    model = make(id2label={0: "cat", 1: "dog", 2: "owl"})
    processor = vit_processor(**MEANS)
    images = RNG.integers(0, 256, size=(33, size, size, 3), dtype=np.uint8)
    predictor = make_predictor((model, processor), images)
    assert (predictor.takes, predictor.torch_module) == ("images", True)
    assert predictor.output_names == ["cat", "dog", "owl"]
    np.testing.assert_array_equal(predictor.classes, [0, 1, 2])
    expected = one_at_a_time(model, processor, images).softmax(1)
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(predictor(images), expected, **close)
    torch.testing.assert_close(predictor(images[:1]), expected[:1], **close)
    torch.testing.assert_close(predictor(images.transpose(0, 3, 1, 2)), expected, **close)
    torch.testing.assert_close(predictor(torch.tensor(images)), expected, **close)
    torch.testing.assert_close(pickle.loads(pickle.dumps(predictor))(images), expected, **close)
    assert predictor(images[:0]).shape == (0, 3)
    assert [len(rows) for rows in predictor.batches(images)] == ([33] if size == 8 else [32, 1])
    assert predictor.module is model
    # another size than that of the sample goes through the processor
    other = RNG.integers(0, 256, size=(2, 9, 10, 3), dtype=np.uint8)
    expected = one_at_a_time(model, processor, other).softmax(1)
    torch.testing.assert_close(predictor(other), expected, **close)


def test_read_only_and_reversed_images():
    model, processor = vit(num_labels=3), vit_processor()
    frozen = BYTES.copy()
    frozen.setflags(write=False)
    predictor = make_predictor((model, processor), frozen)
    torch.testing.assert_close(predictor(frozen[::-1]), predictor(BYTES).flip(0))


def test_grey_images_with_a_processor():
    model, processor = vit(num_labels=3), vit_processor()
    grey = BYTES[..., 0]
    coloured = np.stack([grey] * 3, axis=-1)
    expected = one_at_a_time(model, processor, coloured).softmax(1)
    torch.testing.assert_close(make_predictor((model, processor), grey)(grey), expected)
    # a model of grey images keeps them
    model = vit(num_labels=3, num_channels=1)
    processor = vit_processor(image_mean=[0.5], image_std=[0.25])
    outputs = make_predictor((model, processor), grey)(grey)
    expected = one_at_a_time(model, processor, grey[..., None]).softmax(1)
    torch.testing.assert_close(outputs, expected)


@pytest.mark.parametrize("size", [8, 12])
def test_half_precision_with_a_processor(size):
    model, processor = vit(num_labels=3).to(torch.bfloat16), vit_processor()
    images = RNG.integers(0, 256, size=(5, size, size, 3), dtype=np.uint8)
    predictor = make_predictor((model, processor), images)
    outputs = predictor(images)
    assert (predictor.dtype, outputs.dtype) == (torch.bfloat16, torch.float32)
    expected = one_at_a_time(model, processor, images).softmax(1)
    torch.testing.assert_close(outputs, expected, rtol=0.05, atol=0.05)


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize(
    ("problem", "kind", "link"),
    [
        ("multi_label_classification", "multilabel", torch.sigmoid),
        ("regression", "regression", lambda v: v),
    ],
)
def test_what_the_configuration_says(problem, kind, link):
    model, processor = vit(num_labels=3, problem_type=problem), vit_processor()
    predictor = make_predictor((model, processor), BYTES)
    assert predictor.kind == kind
    expected = link(one_at_a_time(model, processor, BYTES))
    torch.testing.assert_close(predictor(BYTES), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("error::UserWarning")
def test_pixels_for_the_module_alone():
    model = vit(id2label={0: "cat", 1: "dog"})
    pixels = RNG.normal(size=(4, 3, 8, 8)).astype(np.float32)
    predictor = make_predictor(model, pixels)
    assert (predictor.takes, predictor.output_names) == ("rows", ["cat", "dog"])
    expected = model(torch.tensor(pixels)).logits.softmax(1).detach()
    torch.testing.assert_close(predictor(pixels), expected)


@pytest.mark.parametrize("size", [8, 12])
def test_the_model_is_left_as_it_was(size):
    model = vit(num_labels=2, hidden_dropout_prob=0.5).train()
    model.classifier.weight.grad = torch.ones_like(model.classifier.weight)
    model.classifier.bias.requires_grad_(False)
    images = RNG.integers(0, 256, size=(5, size, size, 3), dtype=np.uint8)
    before = images.copy()
    predictor = make_predictor((model, vit_processor()), images)
    torch.testing.assert_close(predictor(images), predictor(images))
    assert all(part.training for part in model.modules())
    assert [p.requires_grad for p in model.classifier.parameters()] == [True, False]
    assert (model.classifier.weight.grad == 1).all()
    assert predictor.device == torch.device("cpu")
    np.testing.assert_array_equal(images, before)


def test_pipeline():
    transformers = pytest.importorskip("transformers")
    image = pytest.importorskip("PIL.Image")
    model, processor = vit(id2label={0: "cat", 1: "dog"}), vit_processor()
    pipe = transformers.pipeline("image-classification", model=model, image_processor=processor)
    parts = parts_of(pipe)
    assert (parts.module, parts.tokenizer, parts.image_processor) == (model, None, processor)
    outputs = make_predictor(pipe, BYTES)(BYTES)
    for picture, row in zip(BYTES, outputs.tolist(), strict=True):
        scores = {a["label"]: a["score"] for a in pipe(image.fromarray(picture))}
        np.testing.assert_allclose(row, [scores["cat"], scores["dog"]], atol=1e-5)
    for pair in ((model, processor), [processor, model]):
        assert parts_of(pair).image_processor is processor
        torch.testing.assert_close(make_predictor(pair, BYTES)(BYTES), outputs)
    both = SimpleNamespace(image_processor=processor)  # one for images and texts together
    assert parts_of((model, both)).image_processor is processor


def test_floats_that_a_processor_would_scale_once_more():
    model, processor = vit(), vit_processor()
    with pytest.raises(ValueError, match=r"floats of at most 1, .* model would see black.*uint8"):
        make_predictor((model, processor), BYTES / BYTES.max())
    floats = BYTES.astype(np.float32) + 0.25
    with pytest.raises(ValueError, match=r"floats of up to 255.*does not take.*uint8"):
        make_predictor((model, processor), floats)

    class Resizes:
        """Takes all floats, as processors do that work with tensors."""

        do_rescale, rescale_factor, image_mean = True, 1 / 255, [0.5, 0.5, 0.5]

        def __call__(self, arrays):
            x = torch.stack([torch.tensor(array).permute(2, 0, 1) / 255 for array in arrays])
            return {"pixel_values": nn.functional.interpolate(x, (8, 8)) * 2 - 1}

    make_predictor((model, Resizes()), floats)
    processor.do_resize = False
    expected = make_predictor((model, processor), BYTES)(BYTES)
    found = make_predictor((model, processor), floats)(BYTES.astype(np.float32))
    torch.testing.assert_close(found, expected)
    processor.do_rescale = False
    found = make_predictor((model, processor), BYTES / 255.0)(BYTES / 255.0)
    torch.testing.assert_close(found, expected)


def test_a_function_as_the_processor():
    def prepare(images):
        return {"pixel_values": [torch.tensor(image).permute(2, 0, 1) / 255 for image in images]}

    module = convolution()
    outputs = make_predictor((module, prepare), BYTES)(BYTES)
    expected = module(torch.tensor(BYTES.transpose(0, 3, 1, 2)) / 255).detach()
    torch.testing.assert_close(outputs, expected)
    with pytest.raises(ValueError, match=r"answered list of length \d+; wanted a dict"):
        make_predictor((module, lambda images: images), BYTES)


def test_errors_are_passed_on():
    processor = vit_processor(do_resize=False)
    with pytest.raises(RuntimeError) as caught:
        make_predictor((nn.Linear(5, 2), processor), BYTES)
    assert "asked it for 6 rows" in caught.value.__notes__[0]
    with pytest.raises(ValueError, match="cannot be seen"):
        make_predictor((convolution(), processor), np.zeros((4, 8, 8, 8), dtype=np.uint8))
