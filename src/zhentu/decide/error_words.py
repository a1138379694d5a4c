"""What an error means, for people: its general sense and what to do, in both languages, by code.

The exact detail of an error is English; where it is told to a seller or reviewer, these words stand beside it.
"""

from __future__ import annotations

from zhentu.decide.words import Words
from zhentu.errors import ZhentuError

ERROR_WORDS: dict[str, Words] = {
    "picture_error": Words("The picture cannot be used.", "图片无法使用。请更换图片后重新上传。"),
    "picture_empty": Words("The file is empty.", "文件为空。请重新上传。"),
    "picture_too_large": Words("The picture is too large.", "图片过大。请缩小后重新上传。"),
    "picture_too_small": Words("The picture is too small.", "图片过小。请上传更大的图片。"),
    "picture_truncated": Words("The file ends before the picture does.", "文件不完整，图片被截断。请重新上传。"),
    "picture_corrupt": Words("The picture is broken.", "图片已损坏。请重新导出后上传。"),
    "picture_too_slow": Words(
        "Reading the picture takes too long.", "读取图片耗时过长。请重新导出为普通 JPEG 后上传。"
    ),
    "unsupported_format": Words(
        "This is not a picture that zhentu can read.",
        "这不是 zhentu 支持的图片格式。请转换为 JPEG、PNG 或 WebP 后上传。",
    ),
    "svg_unsupported": Words(
        "This is an SVG drawing, not a photograph.", "这是 SVG 矢量图，不是照片。请转换为 PNG 或 JPEG 后上传。"
    ),
    "pdf_unsupported": Words(
        "This is a PDF document, not a picture.", "这是 PDF 文档，不是图片。请将其中的图片导出为 JPEG 或 PNG 后上传。"
    ),
    "label_unwritable": Words(
        "The label cannot be written into this file.", "无法将标识写入该文件。请转换为 JPEG 或 PNG，或重新导出后再试。"
    ),
    "picture_not_found": Words("The picture is no longer there.", "图片文件不存在，或未在此处保存。"),
    "record_unreadable": Words("A stored record cannot be read.", "已保存的记录无法读取。请联系平台管理员。"),
    "source_unreadable": Words("The source gave no picture.", "图源读取失败。请稍后重试。"),
    "usage_error": Words("Something is missing or unknown.", "缺少内容或含有未知字段。"),
    "config_error": Words("A setting is wrong.", "配置有误。请联系平台管理员。"),
    "record_not_found": Words("There is no such record.", "没有该记录。"),
    "not_found": Words("There is no such thing here.", "未找到所请求的内容。"),
    "method_not_allowed": Words("This address does not take that method.", "该地址不支持此请求方法。"),
    "unauthenticated": Words("Sign in first, with a valid key.", "请先使用有效的密钥登录。"),
    "forbidden": Words("This key may not do that here.", "该密钥无权执行此操作，或页面已过期，请刷新后重试。"),
    "host_not_allowed": Words("The gate does not answer to this host name.", "服务不响应该主机名。"),
    "head_too_large": Words("The request's headers are too long.", "请求头过长。"),
    "body_too_large": Words("That is too much at once.", "一次发送的内容过多。请分次或缩小后发送。"),
    "body_too_slow": Words("The upload did not arrive in time.", "上传超时。请检查网络后重试。"),
    "idempotency_conflict": Words("This key was used for another request.", "该幂等键已用于其他请求。请更换。"),
    "review_conflict": Words(
        "Somebody else has this, or it was decided already.", "该项正由他人处理，或已经处理、申诉过。"
    ),
    "client_gone": Words("The connection was closed before the answer.", "连接在应答前已断开。"),
    "rate_limited": Words("Too many requests; try again soon.", "请求过于频繁，请稍后重试。"),
    "fetch_failed": Words("The address gave no picture.", "无法从该网址获取图片。"),
    "fetch_refused": Words("zhentu does not go to this address.", "zhentu 不访问该网址。"),
    "dependency_unavailable": Words(
        "Something zhentu needs is away; try again later.", "依赖的服务不可用，请稍后重试。"
    ),
    "model_unusable": Words("The model cannot be used now; try again later.", "模型暂不可用，请稍后重试。"),
    "store_unavailable": Words("The record store is away; try again later.", "记录库暂不可用，请稍后重试。"),
    "overloaded": Words("The gate is busy; try again.", "服务繁忙，请重试。"),
    "deadline_exceeded": Words("It took too long; try again.", "检测超时，请重试。"),
    "internal_error": Words("An unexpected error.", "意外错误。请稍后重试，或联系平台管理员。"),
}


def words_of_code(code: str) -> Words:
    """The words for an error of which only the code was kept."""
    return ERROR_WORDS.get(code, ERROR_WORDS[ZhentuError.code])


def error_words(error: ZhentuError) -> Words:
    """What an error means: in Chinese as it says itself, where it does."""
    general = words_of_code(error.code)
    return Words(general.en, error.zh) if error.zh else general
