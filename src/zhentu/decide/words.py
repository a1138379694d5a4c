"""A text in both languages, and the names that other words are made of."""

from __future__ import annotations

from dataclasses import dataclass

from zhentu.types import Question, Trust


@dataclass(frozen=True, slots=True)
class Words:
    """One text in both languages."""

    en: str
    zh: str


QUESTION_NAMES: dict[Question, Words] = {
    Question.PRODUCT: Words("the goods themselves", "商品本身"),
    Question.COLOUR: Words("the colour", "颜色"),
    Question.TEXTURE: Words("the material or texture", "材质或质感"),
    Question.PRINT: Words("the print or pattern", "印花或图案"),
    Question.CONSTRUCTION: Words("the make (parts or proportions)", "款式结构（部件或比例）"),
}

TRUST_NAMES: dict[Trust, Words] = {
    Trust.SIGNED: Words("signed: cryptographically valid", "已签名：密码学验证有效"),
    Trust.MEASURED: Words("measured by zhentu", "由 zhentu 测得"),
    Trust.DECLARED: Words("declared: stated in a standard field, unsigned", "声明：标准字段所述，未签名"),
    Trust.FORGEABLE: Words("forgeable: a trace anybody can write or remove", "可伪造：任何人都能写入或删除的痕迹"),
}
