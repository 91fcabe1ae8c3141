/// Declares an enum of the words that a service uses, read without regard to case, with `Other` for words that are new.
///
/// A number is kept as `Other` too: some services write enums as numbers.
///
/// ```
/// poolkeeper_rest::open_enum! {
///     /// Whether it is up.
///     pub enum Light { /// Up.
///         On = "on", /// Down.
///         Off = "off" }
/// }
/// assert_eq!(Light::from("ON"), Light::On);
/// assert_eq!(Light::from("dim"), Light::Other("dim".to_owned()));
/// assert_eq!(Light::Off.as_str(), "off");
/// ```
#[macro_export]
macro_rules! open_enum {
    ($(#[$meta:meta])* $access:vis enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        $access enum $name {
            $($(#[$vmeta])* $variant,)+
            /// A word that this version does not know, as sent.
            Other(String),
        }

        impl $name {
            /// The service's own word.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                $(if text.eq_ignore_ascii_case($text) {
                    return Self::$variant;
                })+
                Self::Other(text.to_owned())
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(input: D) -> ::core::result::Result<Self, D::Error> {
                struct Word;
                impl ::serde::de::Visitor<'_> for Word {
                    type Value = $name;
                    fn expecting(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                        f.write_str("a word")
                    }
                    fn visit_str<E: ::serde::de::Error>(self, text: &str) -> ::core::result::Result<$name, E> {
                        Ok($name::from(text))
                    }
                    fn visit_i64<E: ::serde::de::Error>(self, number: i64) -> ::core::result::Result<$name, E> {
                        Ok($name::Other(number.to_string()))
                    }
                    fn visit_u64<E: ::serde::de::Error>(self, number: u64) -> ::core::result::Result<$name, E> {
                        Ok($name::Other(number.to_string()))
                    }
                }
                input.deserialize_any(Word)
            }
        }
    };
}
