//! Room `conversation`: what a customer is told when people take over.

use super::languages::base;

/// What is said when no language is known.
pub(super) const FALLBACK: &str =
    "Thank you for your message. A member of our team will reply to you here as soon as possible.";

const SENTENCES: [(&str, &str); 16] = [
    ("en", FALLBACK),
    (
        "de",
        "Vielen Dank für Ihre Nachricht. Jemand aus unserem Team antwortet Ihnen hier so bald wie \
         möglich.",
    ),
    (
        "fr",
        "Merci pour votre message. Un membre de notre équipe vous répondra ici dès que possible.",
    ),
    (
        "es",
        "Gracias por su mensaje. Una persona de nuestro equipo le responderá aquí lo \
         antes posible.",
    ),
    (
        "it",
        "Grazie per il suo messaggio. Una persona del nostro team le risponderà qui il prima \
         possibile.",
    ),
    (
        "pt",
        "Obrigado pela sua mensagem. Uma pessoa da nossa equipa responderá aqui assim \
         que possível.",
    ),
    ("nl", "Bedankt voor uw bericht. Iemand van ons team antwoordt u hier zo snel mogelijk."),
    (
        "pl",
        "Dziękujemy za wiadomość. Ktoś z naszego zespołu odpowie tutaj najszybciej, jak \
         to możliwe.",
    ),
    (
        "tr",
        "Mesajınız için teşekkür ederiz. Ekibimizden biri size en kısa sürede buradan yanıt \
         verecek.",
    ),
    ("da", "Tak for din besked. En fra vores team svarer dig her så hurtigt som muligt."),
    ("sv", "Tack för ditt meddelande. Någon i vårt team svarar dig här så snart som möjligt."),
    ("no", "Takk for meldingen. En fra teamet vårt svarer deg her så snart som mulig."),
    ("fi", "Kiitos viestistäsi. Tiimimme vastaa sinulle täällä mahdollisimman pian."),
    (
        "ro",
        "Vă mulțumim pentru mesaj. Un membru al echipei noastre vă va răspunde aici cât \
         mai curând.",
    ),
    ("cs", "Děkujeme za vaši zprávu. Někdo z našeho týmu vám zde odpoví, jakmile to bude možné."),
    (
        "ru",
        "Спасибо за ваше сообщение. Сотрудник нашей команды ответит вам здесь как можно скорее.",
    ),
];

/// The sentence in a language, if it is known there.
pub fn hand_over_sentence(language: &str) -> Option<&'static str> {
    SENTENCES.iter().find(|(known, _)| *known == base(language)).map(|(_, sentence)| *sentence)
}
